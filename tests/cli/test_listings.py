"""The commands for listings and snoozes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import invoke, shell
from tests.cli.test_rail_accounts import city, url

__all__ = ["city", "url"]


def told(url: str, *words: str) -> list[dict[str, Any]]:
    """The listings that a command prints as JSON."""
    done = invoke(*words, "--json", "--database", url)
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.output)
    return found


POLICY = """
name = "careful"
zero_from_score = 600
reduced_from_score = 520
reduced_credit_share_bp = 5_000
condition = [{name = "night", when = "hour < 6", then = "DECLINE"}]
"""
ADD = ("listing", "add", "city", "--reason", "theft")


def test_listings_are_added_listed_and_ended(url: str, tmp_path: Path) -> None:
    """`listing` adds the subjects of options and of a file, lists them and ends them."""
    file = tmp_path / "bad.txt"
    file.write_text("DEVICE ab12\n\nPAYMENT_ACCOUNT cd34\n")
    added = told(url, *ADD, "--deny", "--user", "ann", "--file", str(file), "--expires", "90d")
    assert [(it["kind"], it["subject"]) for it in added] == [
        ("USER", "ann"),
        ("DEVICE", "ab12"),
        ("PAYMENT_ACCOUNT", "cd34"),
    ]
    (ended,) = told(url, "listing", "end", "city", "2", "--reason", "found")
    assert (ended["number"], ended["end_reason"]) == (2, "found")
    active = told(url, "listing", "list", "city", "--active")
    assert [it["number"] for it in active] == [1, 3]
    text = invoke("listing", "list", "city", "--database", url).output
    assert "1  DENY for USER ann, until 20" in text
    assert "; ended 20" in text


def test_a_snooze_is_a_listing_with_an_end(url: str, tmp_path: Path) -> None:
    """`snooze` turns rules off until a time, for everybody or for one user; a policy is named as a
    product names it."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    done = invoke("policy", "apply", str(policy), "--operator", "city", "--database", url)
    assert done.exit_code == 0, done.output
    (one,) = told(
        *(url, "snooze", "city", "NEW_USER", "CONDITION/night", "--until", "2h"),
        *("--reason", "fair", "--user", "ann", "--policy", "careful"),
    )
    assert (one["effect"], one["kind"], one["subject"]) == ("ALLOW", "USER", "ann")
    words = ("snooze", "city", "CONDITION/nigth", "--until", "2h", "--reason", "fair")
    refused = shell(*words, "--database", url)
    assert refused.returncode == 1
    said = "no policy of yours has the condition nigth: did you mean CONDITION/night?"
    assert said in refused.stderr
    assert (one["rules"], one["policy_id"]) == (["CONDITION/night", "NEW_USER"], "city/careful")
    (all_,) = told(url, "snooze", "city", "NEW_USER", "--until", "2h", "--reason", "fair")
    assert (all_["kind"], all_["subject"], all_["expire_us"] > 0) == ("EVERYBODY", "", True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((*ADD, "--user", "ann"), "give either --deny or --allow"),
        ((*ADD, "--deny"), "name a subject"),
        ((*ADD, "--deny", "--everybody"), "expire_time"),
        ((*ADD, "--deny", "--user", "ann", "--policy", "smal-item"), "did you mean small-item?"),
        (("listing", "end", "city", "9", "--reason", "x"), "listing not found"),
        (("listing", "list", "city", "--subject", "x"), "--subject needs --kind"),
        (("listing", "list", "citty"), "operator not found: citty"),
        (("breaker", "list", "citty"), "operator not found: citty"),
    ],
)
def test_a_wrong_command_says_the_reason(url: str, words: tuple[str, ...], text: str) -> None:
    """A wrong command changes nothing, and says in one line the reason."""
    done = shell(*words, "--database", url)
    assert done.returncode != 0
    assert text in done.stderr
