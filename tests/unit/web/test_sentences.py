"""Every sentence that templates and code name is in the catalogue, and every sentence of the catalogue is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest
from jinja2 import Environment, nodes
from repository import ROOT

from portability import locale
from portability.api import ADDRESS_KINDS, CoverageKind, SubjectKind
from portability.api.errors import all_errors
from portability.desk.notes import DeletionReason, NoteSubject
from portability.inbox.states import ReceivedState
from portability.law.countries import Mechanism
from portability.law.profiles import Profile
from portability.law.tenants import InformGround
from portability.messages.outbox import HIDDEN, MessageKind
from portability.report.disclosure import ReportPrecision
from portability.report.figures import SHARES, TABLES
from portability.report.questions import CLOCKS, AgreementKind, AgreementStanding, RecallStanding, RequestStanding
from portability.requests import forms
from portability.requests.approvals import Cause, DenialBasis
from portability.requests.outcome import ExportAnswer
from portability.requests.policy import ROLES
from portability.requests.referrals import ReferralState, RefusalReason
from portability.requests.reviews import ReviewReason, ReviewState
from portability.requests.states import DatasetState, ExportState, TransferState
from portability.requests.transfer_ends import TransferEnd
from portability.transfers.sending import TransferStep
from web.pages.desk import BULK
from web.pages.new_request import CHANNELS
from web.problems import STATUS

CODES = locale.sentences(locale.SOURCE, "pages")
TEMPLATES = sorted((ROOT / "web" / "templates").glob("*.html"))
MODULES = sorted((ROOT / "web").rglob("*.py"))
ANSWERS = {f"ready_{answer}" for answer in ExportAnswer} - {"ready_complete"}
STATES = {*map(str, ExportState), *ANSWERS, "cancelling"}
TRANSFERS = set(map(str, TransferState))
ACTIONS = re.findall(r"`([a-z_]+\.[a-z_]+)`", (ROOT / "docs" / "audit.md").read_text().partition("## Events")[2])
FAMILIES: dict[str, set[str]] = {
    "address_label": {*map(str, ADDRESS_KINDS), "both"},
    "basis": set(map(str, DenialBasis)),
    "bulk": set(BULK),
    "cause": set(map(str, Cause)),
    "channel": {*CHANNELS, "cli", "api", "feed", "schedule"},
    "confirm": {"deny", "deny_lead", "recall", "recall_lead"},
    "count": {"open", "overdue", "soon", "review", "failed"},
    "dataset": set(map(str, DatasetState)),
    "event": {each.replace(".", "_") for each in ACTIONS},
    "decline": {"unknown_subject", "not_wanted", "wrong_content", "other"},
    "difference": {"new", "differs", "deleted_here", "quarantined", "taken", "kept", "conflict"},
    "fault": {str(status) for status in {*STATUS.values(), 400, 405, 413}},
    "filter": {"open", "overdue", "soon", "assigned", "unassigned", "all"},
    "finding": set(map(str, CoverageKind)),
    "format": set(forms.DEFAULT_FORMATS) | forms.BUILT_IN,
    "ground": set(map(str, InformGround)),
    "home": {"1", "2", "3", "1_text", "2_text", "3_text"},
    "kind": set(map(str, SubjectKind)),
    "mechanism": set(map(str, Mechanism)),
    "message": {*map(str, MessageKind)} - {*map(str, HIDDEN)},
    "note_about": set(map(str, NoteSubject)),
    "note_deleted": set(map(str, DeletionReason)),
    "profile": {f"{profile}{end}" for profile in Profile for end in ("", "_text")},
    "receipt": {"queued", "sent", "failed"},
    "received": set(map(str, ReceivedState)),
    "received_conflict": {"keep", "take"},
    "received_count": {"new", "changed", "same", "kept", "conflicts", "refused", "quarantined"},
    "received_notice": {"withdrawn", "expired", "rectified", "erased"},
    "received_tell": set(map(str, ReceivedState)),
    "received_undone": {"removed", "restored", "files", "conflicts"},
    "recipient": {"waiting", "approved", "removed"},
    "referral": set(map(str, ReferralState)),
    "refusal": set(map(str, RefusalReason)),
    "report": {*map(str, RequestStanding), *SHARES},
    "report_clock": set(CLOCKS),
    "report_counts": set(map(str, ReportPrecision)),
    "report_kind": set(map(str, AgreementKind)),
    "report_recall": set(map(str, RecallStanding)),
    "report_said": set(map(str, ReportPrecision)),
    "report_standing": set(map(str, AgreementStanding)),
    "report_table": set(TABLES),
    "review": set(map(str, ReviewState)),
    "review_reason": set(map(str, ReviewReason)),
    "role": {*ROLES, "clock", "link", "transfer", "worker"},
    "short": set(map(str, Profile)),
    "source": {"complete", "undecided", "coverage_unknown"},
    "state": {*STATES, "log_in"},
    "tell": {*STATES, "log_in"},
    "transfer": TRANSFERS,
    "transfer_step": set(map(str, TransferStep)),
    "transfer_tell": {*TRANSFERS, *map(str, TransferEnd)},
}
"""What templates put behind a prefix, from the tables of the code."""
OF_ERRORS = {f"fault_{error.code}" for error in all_errors()}
"""An error may have a sentence of its own; without it the page shows the sentence of its status."""
ENVIRONMENT = Environment(autoescape=True)


def names(expression: nodes.Node) -> Iterator[str]:
    """Yield the names that an argument of `_` may have; `*` stands for what is only known when the page is made."""
    match expression:
        case nodes.Const():
            yield str(expression.value)
        case nodes.Add() | nodes.Concat() as joined:
            parts = [joined.left, joined.right] if isinstance(joined, nodes.Add) else joined.nodes
            yield from _joined([list(names(part)) for part in parts])
        case nodes.Mod():
            yield from (re.sub(r"%[ds]", "*", name) for name in names(expression.left))
        case nodes.CondExpr():
            yield from names(expression.expr1)
            yield from names(expression.expr2 or nodes.Const(""))
        case _:
            yield "*"


def _joined(parts: list[list[str]]) -> list[str]:
    joined = [""]
    for part in parts:
        joined = [before + after for before in joined for after in part]
    return joined


def calls(name: str) -> Iterator[tuple[str, nodes.Call]]:
    """Yield the calls of a function or macro in all templates, each with its template."""
    for template in TEMPLATES:
        for call in ENVIRONMENT.parse(template.read_text()).find_all(nodes.Call):
            called = call.node.name if isinstance(call.node, nodes.Name) else getattr(call.node, "attr", None)
            if called == name:
                yield template.name, call


def in_templates() -> set[str]:
    """Return the names, or prefixes with `*`, of the sentences in all templates."""
    found = {name for _template, call in calls("_") for name in names(call.args[0])}
    for macro in ("dated", "timed", "sorted_by"):
        found |= {name for _template, call in calls(macro) for name in names(call.args[0])}
    return found | {f"{name}_*" for _template, call in calls("label") for name in names(call.args[0])}


def in_code() -> set[str]:
    """Return the strings of `web/` that are names of sentences: flashes, and what problems.py shows."""
    strings = {
        node.value.removeprefix("pages.")
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return strings & CODES.keys()


def flashes() -> Iterator[str]:
    """Yield the sentences that code shows on the next page."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "flash":
                yield from (str(each.value) for each in ast.walk(node.args[1]) if isinstance(each, ast.Constant))


def placeholders(sentence: str) -> set[str]:
    return {name for _text, name, _format, _conversion in Formatter().parse(sentence) if name}


def test_each_named_sentence_is_in_the_catalogue() -> None:
    """What templates and code name as it is, and each prefix has a table of what may follow it."""
    named = in_templates() | set(flashes())
    whole = {name for name in named if "*" not in name}
    prefixes = {name.partition("_*")[0] for name in named if "_*" in name}

    assert len(whole) > 100
    assert whole <= CODES.keys()
    assert prefixes <= FAMILIES.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_value_of_the_tables_has_a_sentence(family: str) -> None:
    """Each state, role, event and ground that the code has, so that no page shows a bare name."""
    assert FAMILIES[family]
    assert {f"{family}_{name}" for name in FAMILIES[family]} <= CODES.keys()


def test_each_sentence_is_used() -> None:
    """The catalogue has no sentence that no page can show: translators do not work for nothing."""
    shown = {f"{family}_{name}" for family, members in FAMILIES.items() for name in members}

    assert CODES.keys() - shown - in_templates() - in_code() - OF_ERRORS == {"own_name"}


def test_each_placeholder_is_filled_in() -> None:
    """A call gives all the values that its sentence has placeholders for, in every language."""
    unfilled = [
        (template, name, language)
        for template, call in calls("_")
        for name in names(call.args[0])
        for language in locale.languages()
        if placeholders(locale.sentences(language, "pages").get(name, "")) - {each.key for each in call.kwargs}
    ]

    assert unfilled == []


def test_each_language_has_each_sentence_with_the_same_placeholders() -> None:
    """No page falls back to English, or shows a bare placeholder."""
    for language in locale.languages():
        own = {name: locale.translated(language, f"pages.{name}", "") for name in CODES}
        assert [name for name in CODES if not own[name]] == []
        assert [name for name in CODES if placeholders(own[name]) != placeholders(CODES[name])] == []
