"""What the scan does with what it finds: by kind, profile, setting and law."""

from __future__ import annotations

import pytest
from repository import ROOT, table

from portability.api.errors import BadInput, BadSetting
from portability.law import scan_rules
from portability.law.scan_rules import FindingKind, ScanAction
from portability.settings import load_settings

PAGE = ROOT / "docs" / "scan.md"
ALL_REPORTED = dict.fromkeys(FindingKind, ScanAction.REPORT)


def test_the_page_is_the_rules() -> None:
    """docs/scan.md has every rule, what is done by kind, and every floor, as scan.toml says."""
    known = scan_rules.built_in()
    rules = [(row["rule"].strip("`"), row["kind"], row["what"]) for row in table(PAGE, "rule")]
    actions = [tuple(row.values()) for row in table(PAGE, "kind") if "regime" not in row]
    floors = [(row["regime"].strip("`"), row["kind"], row["at least"]) for row in table(PAGE, "regime")]

    assert rules == [(rule.id, rule.kind, rule.title) for rule in known.rules]
    assert actions == [(kind, known.actions[kind], known.profiles["switch"][kind]) for kind in FindingKind]
    assert floors == [(regime, kind, least) for regime, of in known.floors.items() for kind, least in of.items()]


def test_switch_reports_whatever_is_asked() -> None:
    """Nothing is masked for a company that leaves, and nothing blocks it."""
    asked = dict.fromkeys(FindingKind, ScanAction.BLOCK)

    assert scan_rules.actions("switch", ["data_act"], asked) == ALL_REPORTED


def test_a_setting_changes_what_is_done_by_kind() -> None:
    """What is not named stays."""
    asked = scan_rules.asked_actions("id-number=report, canary=mask")

    assert scan_rules.actions("access", ["gdpr"], asked) == {
        FindingKind.CANARY: ScanAction.MASK,
        FindingKind.SECRET: ScanAction.MASK,
        FindingKind.CARD: ScanAction.MASK,
        FindingKind.ID_NUMBER: ScanAction.REPORT,
    }


def test_a_law_sets_a_floor_for_its_profiles() -> None:
    """Under 11 CCR 7024(d) no identity number is disclosed, for any setting; a stricter setting counts."""
    asked = {**ALL_REPORTED, FindingKind.CARD: ScanAction.BLOCK}
    made = scan_rules.actions("access", ["gdpr", "ccpa"], asked)

    assert (made[FindingKind.ID_NUMBER], made[FindingKind.SECRET], made[FindingKind.CARD]) == (
        ScanAction.MASK,
        ScanAction.MASK,
        ScanAction.BLOCK,
    )
    assert scan_rules.actions("switch", ["gdpr", "ccpa", "data_act"]) == ALL_REPORTED


@pytest.mark.parametrize("text", ["card", "card=shred", "cards=mask", "=mask"])
def test_an_invalid_setting_is_refused(text: str) -> None:
    """It is reported at the start, with the valid values."""
    with pytest.raises(BadSetting, match="PORTABILITY_SCAN_ACTIONS: needs KIND=ACTION"):
        load_settings(scan_actions=text)


@pytest.mark.parametrize(
    "change", [("version", "edition"), ('= "mask"', '= "shred"'), ('kind = "card"', 'kind = "cat"')]
)
def test_rules_that_cannot_be_read_are_refused(change: tuple[str, str]) -> None:
    """An error in the rules must not disable the scan."""
    text = (ROOT / "portability" / "law" / "scan_rules.toml").read_text()

    with pytest.raises(BadInput):
        scan_rules.parse(text.replace(*change, 1))
