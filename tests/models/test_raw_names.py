"""Drafts of columns as their names tell them: outcomes, persons, weights and times."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import draft_columns, draft_names
from tests.models.test_draft_columns import DAY, column, written


def told(folder: Path, name: str, cell: Callable[[int], object]) -> tuple[dict[str, Any], str]:
    """The drafted column of this name, and what the draft says about it."""
    made = written(folder, name, cell)
    (found,) = [it for it in tomllib.loads(made.text)["feature"] if it["name"] == name]
    return found, "; ".join(it for it in made.notes if it.startswith(f"{name}: "))


@pytest.mark.parametrize(
    "name",
    [
        "collections_status", "days_past_due_current", "dpd_at_end", "LoanCurrentDaysDelinquent",
        "loss_given_default", "net_credit_loss", "LP_NetPrincipalLoss", "default_amt", "writeoff",
        "write_off_amount", "amount_repaid", "paid_principal", "PrincipalPaid", "last_pymnt_amnt",
        "last_payment_amount", "last_fico_range_high", "payoff_amount", "closed_reason", "lgd",
        "foreclosure_flag", "zero_balance_code", "loan_status_code", "final_status", "out_prncp",
        "outstanding_principal", "CURRENT_LOAN_DELINQUENCY_STATUS", "currentActualUPB",
        "net_sale_proceeds", "last_paid_installment", "actual_loss", "principal_forgiveness",
        "Ausfalldatum", "date défaut", "valor_recuperado", "违约日期", "max_dpd_12m_after",
        "hardship_flag", "account_recoveries",
    ],
)  # fmt: skip
def test_words_of_an_outcome_are_known_in_any_writing(name: str) -> None:
    """Words of a collection, a loss, a write-off, a repayment or an end say that a column is
    written after the outcome, in whichever order and case they are written."""
    assert draft_names.is_afterwards(name)


@pytest.mark.parametrize(
    "name",
    [
        "delinq_2yrs", "PAY_0", "num_times_90_days_late", "BILL_AMT1", "PAY_AMT1", "default",
        "chargeoff_within_12_mths", "num_collections_12m", "settled_accounts", "acc_now_delinq",
        "cb_person_default_on_file", "checking_status", "verification_status", "orig_upb",
        "months_since_last_payment", "first_payment_date", "NumberOfTime30-59DaysPastDueNotWorse",
        "MaxDelqEver", "AmountDelinquent", "prior_foreclosure", "past_due", "paid", "inquiries",
        "loss", "due_date", "AMT_CREDIT_SUM_OVERDUE", "tot_coll_amt", "closing_costs", "payments",
    ],
)  # fmt: skip
def test_words_of_a_history_are_no_outcome(name: str) -> None:
    """A column by which a bureau or an account tells of the time before the decision is no outcome,
    also where it speaks of late payments, losses or defaults."""
    assert not draft_names.is_afterwards(name)


@pytest.mark.parametrize(
    "name", ["current_balance", "CurrentDelinquencies", "bad_flag_6m", "account_status"]
)
def test_what_may_be_of_today_is_told(tmp_path: Path, name: str) -> None:
    """A column that may be as it is today, and not as it was at the decision, stays an input, and
    the draft asks."""
    found, said = told(tmp_path, name, lambda i: i % 9)
    assert found["role"] == "input"
    assert "LEAK? it may be of a day after the decision" in said


@pytest.mark.parametrize("name", ["ChgOffDate", "default_date", "ClosedDate", "write_off_date"])
def test_a_date_of_an_outcome_is_told(tmp_path: Path, name: str) -> None:
    """The draft says of a date that its name puts after the outcome that its being filled tells
    the outcome, and derives nothing from it."""

    def cells_of(i: int) -> str:
        last = DAY + (700 + i % 90) * datetime.timedelta(1)
        return f"{last if i % 3 else ''},{DAY + i * datetime.timedelta(1)}"

    made = written(tmp_path, f"{name},applied", cells_of)
    assert f"{name}: {draft_columns.A_LATE_DATE}" in made.notes
    assert "derivation" not in tomllib.loads(made.text)


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("YOB", True), ("yearborn", True), ("faith", True), ("citizenship", True), ("Anrede", True),
        ("first_name", True), ("language", True), ("veteran", True), ("statussex", True),
        ("ageband", True), ("Vorname", True), ("salutation", True), ("minority_flag", True),
        ("immigrant", True), ("maternity_leave", True), ("native_country", True),
        ("gastarb", True), ("famges", True), ("SexCode", True), ("median_age", False),
        ("ffiec_msa_md_median_age", False), ("mortgage_age", False), ("loanAge", False),
        ("emp_name", False), ("essex", False), ("title", False), ("seniority", False),
        ("stage", False),
    ],
)  # fmt: skip
def test_protected_attributes_are_known_by_their_words(name: str, protected: bool) -> None:
    """A birth, a sex, an origin, a belief, a family status or a service is protected under each of
    its usual names; the age of a thing, such as of houses, is not."""
    assert draft_names.is_protected(name) == protected


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (("Mr", "Mrs", "Ms", "Dr"), "protected"), (("Herr", "Frau"), "protected"),
        (("male", "female"), "protected"), (("Mann", "Frau"), "input"),
        (("single", "married", "Divorced"), "protected"), (("White", "Asian"), "protected"),
        (("Christian", "Muslim", "none"), "protected"), (("Mr", "loan"), "input"),
        (("white", "black"), "input"), (("single", "joint"), "input"), (("M", "F"), "input"),
    ],
)  # fmt: skip
def test_answers_of_persons_are_known_by_their_words(
    tmp_path: Path, words: tuple[str, ...], role: str
) -> None:
    """Titles, sexes, family statuses, origins and beliefs are kept from the model under any name,
    as long as a column has no other words."""
    assert column(tmp_path, "field", lambda i: words[i % len(words)])["role"] == role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("sample_weight", "excluded"),
        ("pondération", "excluded"),
        ("weight", "excluded"),
        ("wgt", "excluded"),
        ("exposureWeight", "excluded"),
        ("fnlwgt", "excluded"),
        ("weight_kg", "input"),
        ("vehicle_weight", "input"),
        ("parcel_wt", "input"),
        ("wt", "input"),
        ("sample_wt", "excluded"),
    ],
)
def test_weights_of_rows_are_no_inputs(tmp_path: Path, name: str, role: str) -> None:
    """A column that is named after the weight of a row is left out, and the draft points at
    [weight]; the weight of a thing is an input."""
    found, said = told(tmp_path, name, lambda i: 0.5 + i % 7)
    assert found["role"] == role
    assert ("[weight]" in said) == (role == "excluded")


def test_a_weight_of_zero_is_none_of_a_row(tmp_path: Path) -> None:
    """Numbers that are not all above 0 are no weights of rows, whatever their name is."""
    assert column(tmp_path, "weight", lambda i: i % 7)["role"] == "input"


@pytest.mark.parametrize(
    ("name", "cell", "is_time"),
    [
        ("ApprovalFY", lambda i: 1990 + i % 20, True),
        ("ApprovalFY", lambda i: "1976A" if i % 40 == 0 else 1990 + i % 20, True),
        ("issue_yr", lambda i: 2005 + i % 9, True),
        ("LoanOriginationQuarter", lambda i: f"Q{1 + i % 4} 2014", True),
        ("when", lambda i: f"2015-Q{1 + i % 4}", True), ("wk", lambda i: f"2015W{1 + i % 9}", True),
        ("year_founded", lambda i: 1990 + i % 20, False), ("issue_yr", lambda i: i % 9, False),
        ("plan", lambda i: f"Q{1 + i % 4}", False),
    ],
)  # fmt: skip
def test_years_and_quarters_of_an_application_are_told(
    tmp_path: Path, name: str, cell: Callable[[int], object], is_time: bool
) -> None:
    """A year or a quarter of the application only says how late it is, and the draft says so; the
    year of another event is an amount."""
    found, said = told(tmp_path, name, cell)
    assert found["role"] == "input"
    assert ("a time, as a date is" in said) == is_time
