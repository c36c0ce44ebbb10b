"""R22: the log lines on money that waits."""

from __future__ import annotations

from structlog.testing import capture_logs

from service.alarms import tell_debt, tell_owed_back
from service.engine.debts import Debt
from service.engine.ports import OwedBack

DAY_US = 86_400_000_000


def test_r22_the_log_warns_of_an_operator_beyond_its_bound() -> None:
    """R22: the warning has the operator, the amount and the bound. When the operator is within its
    bound again, the log says so without a warning."""
    debt = Debt("city", "CNY", 14_550, 14_549)
    with capture_logs() as lines:
        tell_debt(debt, ended=False)
        tell_debt(debt, ended=True)
    (beyond, within) = lines
    assert (beyond["log_level"], beyond["event"]) == ("warning", "operator owes")
    assert (beyond["operator_id"], beyond["owed_minor"], beyond["limit_minor"]) == (
        "city", 14_550, 14_549,
    )  # fmt: skip
    assert (within["log_level"], within["event"]) == ("info", "operator owes less")


def test_r22_the_log_has_the_amount_owed_back_and_warns_of_late_refunds() -> None:
    """R22: the sum and the age of the oldest refund are logged without a warning. For late refunds
    a warning names the oldest authorization and no person."""
    with capture_logs() as lines:
        tell_owed_back(OwedBack("CNY", 3, 900, DAY_US, 0, 0, ""), 3 * DAY_US)
        tell_owed_back(OwedBack("CNY", 3, 900, DAY_US, 1, 400, "a-1"), 5 * DAY_US)
        tell_owed_back(OwedBack("CNY", 1, 70, None, 0, 0, ""), 5 * DAY_US)
    events = [(line["log_level"], line["event"], line["oldest_s"]) for line in lines]
    assert events == [
        ("info", "owed back", 2 * 86_400),
        ("info", "owed back", 4 * 86_400),
        ("warning", "refunds wait", 4 * 86_400),
        ("info", "owed back", None),
    ]
    late = lines[2]
    assert (late["refunds"], late["owed_minor"], late["authorization_id"]) == (1, 400, "a-1")
    assert lines[3]["owed_minor"] == 70
