"""What the scan does with what it finds: by kind, profile, setting and law."""

from __future__ import annotations

import pytest
from repository import ROOT, table

from portability import scan
from portability.errors import BadInput, BadSetting
from portability.scan import Action, Kind
from portability.settings import load_settings

PAGE = ROOT / "docs" / "scan.md"
ALL_REPORTED = dict.fromkeys(Kind, Action.REPORT)


def test_the_page_is_the_rules() -> None:
    """docs/scan.md has every rule, what is done by kind, and every floor, as scan.toml says."""
    known = scan.built_in()
    rules = [(row["rule"].strip("`"), row["kind"], row["what"]) for row in table(PAGE, "rule")]
    actions = [tuple(row.values()) for row in table(PAGE, "kind") if "regime" not in row]
    floors = [(row["regime"].strip("`"), row["kind"], row["at least"]) for row in table(PAGE, "regime")]

    assert rules == [(rule.id, rule.kind, rule.title) for rule in known.rules]
    assert actions == [(kind, known.actions[kind], known.profiles["switch"][kind]) for kind in Kind]
    assert floors == [(regime, kind, least) for regime, of in known.floors.items() for kind, least in of.items()]


def test_switch_reports_whatever_is_asked() -> None:
    """Nothing is masked for a company that leaves, and nothing blocks it."""
    asked = dict.fromkeys(Kind, Action.BLOCK)

    assert scan.actions("switch", ["data_act"], asked) == ALL_REPORTED


def test_a_setting_changes_what_is_done_by_kind() -> None:
    """What is not named stays."""
    asked = scan.asked_actions("id-number=report, canary=mask")

    assert scan.actions("access", ["gdpr"], asked) == {
        Kind.CANARY: Action.MASK,
        Kind.SECRET: Action.MASK,
        Kind.CARD: Action.MASK,
        Kind.ID_NUMBER: Action.REPORT,
    }


def test_a_law_sets_a_floor_for_its_profiles() -> None:
    """Under 11 CCR 7024(d) no identity number is disclosed, whatever the setting says; a stricter setting stands."""
    asked = {**ALL_REPORTED, Kind.CARD: Action.BLOCK}
    made = scan.actions("access", ["gdpr", "ccpa"], asked)

    assert (made[Kind.ID_NUMBER], made[Kind.SECRET], made[Kind.CARD]) == (Action.MASK, Action.MASK, Action.BLOCK)
    assert scan.actions("switch", ["gdpr", "ccpa", "data_act"]) == ALL_REPORTED


@pytest.mark.parametrize("text", ["card", "card=shred", "cards=mask", "=mask"])
def test_a_setting_that_is_none_is_refused(text: str) -> None:
    """It is told at the start, and what there is instead."""
    with pytest.raises(BadSetting, match="PORTABILITY_SCAN_ACTIONS: needs KIND=ACTION"):
        load_settings(scan_actions=text)


@pytest.mark.parametrize(
    "change", [("version", "edition"), ('= "mask"', '= "shred"'), ('kind = "card"', 'kind = "cat"')]
)
def test_rules_that_cannot_be_read_are_refused(change: tuple[str, str]) -> None:
    """A hole in the rules is no scan without them."""
    text = (ROOT / "portability" / "scan.toml").read_text()

    with pytest.raises(BadInput):
        scan.parse(text.replace(*change, 1))
