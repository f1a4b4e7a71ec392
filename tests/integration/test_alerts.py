"""Alerts: each rings for what hurts and stays silent otherwise, uses what is measured, and has a page that helps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import alerting
import pytest
import yaml
from alerting import AlertCases
from judges import programs
from repository import ROOT, table

DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
DASHBOARD = ROOT / "deploy" / "grafana" / "portability.json"
OTHERS = {"node_textfile_mtime_seconds"}
"""Metrics of other software: the node exporter's."""
UNSHOWN = {"portability_oldest_undecided_received_transfer_age_seconds": "as the oldest open decision about `received`"}
"""Metrics that no panel shows, and why."""
HEALTHY = {
    **{f'portability_service_up{{service="{name}"}}': 1 for name in ("database", "redis", "storage")},
    **{f'portability_service_seconds{{service="{name}"}}': 0.1 for name in ("database", "redis", "storage")},
    **{f'portability_signing_keys{{purpose="{name}"}}': 1 for name in ("archive", "link", "audit", "transfer")},
    'portability_signing_key_age_seconds{purpose="archive"}': 300 * 86_400,
    **{f'portability_key_files_missing{{purpose="{name}"}}': 0 for name in ("link", "transfer", "audit")},
    "portability_workers": 2,
    "portability_clock_up": 1,
    "portability_storage_free_bytes": 50,
    "portability_storage_size_bytes": 100,
    'portability_slices{state="claimable"}': 40,
    "portability_oldest_claimable_slice_age_seconds": 300,
    'portability_exports_retried{code="other"}': 0,
    'portability_exports_failed{code="other"}': 0,
    "portability_oldest_open_export_age_seconds": 40_000,
    'portability_exports_alarm{alarm="half"}': 3,
    'portability_exports_alarm{alarm="most"}': 0,
    "portability_exports_overdue": 0,
    "portability_referrals_overdue": 0,
    **{
        f'portability_oldest_open_decision_age_seconds{{about="{about}"}}': 40_000
        for about in ("record", "transfer", "received")
    },
    'portability_gaps{reason="coverage_undecided"}': 5,
    'portability_source_undecided_columns{source="crm"}': 0,
    'portability_source_faults{source="crm"}': 0,
    'portability_source_check_age_seconds{source="crm"}': 90_000,
    "portability_last_sweep_age_seconds": 3000,
    "portability_database_behind": 0,
    "portability_oldest_unshipped_event_age_seconds": 1,
    "portability_break_glass_approvals": 0,
    'portability_oldest_waiting_notification_age_seconds{waits_for="service"}': 60,
    'portability_oldest_waiting_notification_age_seconds{waits_for="mailbox"}': 7200,
    "portability_oldest_queued_transfer_age_seconds": 60,
    "portability_oldest_queued_webhook_age_seconds": 60,
    "portability_oldest_queued_notice_age_seconds": 40_000,
    "portability_oldest_received_work_age_seconds": 60,
    "portability_received_failing": 0,
    **{
        f'portability_incidents_total{{kind="{kind}"}}': 9
        for kind in (
            *("horse_died", "horse_stalled", "lease_lost", "storage_full", "object_lost", "swept", "audit_broken"),
            *("forged_message", "mail_failed", "transfer_failed", "receipt_failed", "past_retention"),
        )
    },
}
"""A deployment in which nothing hurts: the value of each series. Old incidents and gaps ring no more."""
BEFORE = 10
"""Minutes of health, before something changes."""
FAULTS: tuple[tuple[str, Mapping[str, float], int], ...] = (
    ("DatabaseAway", {'portability_service_up{service="database"}': 0}, 1),
    ("RedisAway", {'portability_service_up{service="redis"}': 0}, 2),
    ("StorageAway", {'portability_service_up{service="storage"}': 0}, 2),
    ("ServiceSlow", {'portability_service_seconds{service="storage"}': 1.1}, 5),
    ("WorkersAway", {"portability_workers": 0}, 2),
    ("ClockAway", {"portability_clock_up": 0}, 1),
    ("WorkersCrash", {'portability_incidents_total{kind="horse_died"}': 13}, 0),
    ("WorkWaits", {"portability_oldest_claimable_slice_age_seconds": 901}, 1),
    ("QueueDeep", {'portability_slices{state="claimable"}': 1001}, 15),
    ("ExportsRetried", {'portability_exports_retried{code="storage_unavailable"}': 1}, 10),
    ("ExportsFail", {'portability_exports_failed{code="volume_fault"}': 1}, 0),
    ("ExportStuck", {"portability_oldest_open_export_age_seconds": 86_401}, 0),
    ("DeadlineNear", {'portability_exports_alarm{alarm="most"}': 1}, 0),
    ("ExportOverdue", {"portability_exports_overdue": 1}, 0),
    ("ReferralsOverdue", {"portability_referrals_overdue": 1}, 0),
    ("DecisionsWait", {'portability_oldest_open_decision_age_seconds{about="record"}': 86_401}, 0),
    ("SourceFaults", {'portability_source_gaps{source="crm",reason="source_refused"}': 1}, 0),
    ("SourceWaits", {'portability_source_waits{source="crm"}': 1}, 2),
    ("CoverageUndecided", {'portability_gaps{reason="coverage_undecided"}': 6}, 0),
    ("SourceUndecided", {'portability_source_undecided_columns{source="crm"}': 1}, 0),
    ("SourceUndecided", {'portability_source_faults{source="crm"}': 1}, 0),
    ("SourceNotChecked", {'portability_source_check_age_seconds{source="crm"}': 172_801}, 0),
    ("StorageNearlyFull", {"portability_storage_free_bytes": 9}, 5),
    ("StorageFull", {'portability_incidents_total{kind="storage_full"}': 10}, 0),
    ("VolumesMissing", {'portability_incidents_total{kind="object_lost"}': 10}, 0),
    ("SweepLate", {"portability_last_sweep_age_seconds": 14_401}, 0),
    ("OrphansMany", {'portability_incidents_total{kind="swept"}': 150}, 0),
    ("DatabaseBehind", {"portability_database_behind": 1}, 1),
    ("JournalLate", {"portability_oldest_unshipped_event_age_seconds": 61}, 0),
    ("AuditBroken", {'portability_incidents_total{kind="audit_broken"}': 10}, 0),
    ("SigningKeyMissing", {'portability_signing_keys{purpose="link"}': 0}, 5),
    ("KeyFileMissing", {'portability_key_files_missing{purpose="transfer"}': 1}, 5),
    ("KeyFileMissing", {'portability_key_files_missing{purpose="archive"}': 2}, 5),
    ("SigningKeyOld", {'portability_signing_key_age_seconds{purpose="archive"}': 336 * 86_400}, 0),
    ("ForgedMessages", {'portability_incidents_total{kind="forged_message"}': 10}, 0),
    ("BreakGlass", {"portability_break_glass_approvals": 1}, 0),
    ("MailWaits", {'portability_oldest_waiting_notification_age_seconds{waits_for="service"}': 1801}, 0),
    ("MailDeferred", {'portability_oldest_waiting_notification_age_seconds{waits_for="mailbox"}': 10_801}, 0),
    ("MailUndeliverable", {'portability_incidents_total{kind="mail_failed"}': 10}, 0),
    ("TransfersStuck", {"portability_oldest_queued_transfer_age_seconds": 3601}, 0),
    ("TransfersFail", {'portability_incidents_total{kind="transfer_failed"}': 10}, 0),
    ("TransfersFail", {'portability_incidents_total{kind="receipt_failed"}': 10}, 0),
    ("WebhookWaits", {"portability_oldest_queued_webhook_age_seconds": 3601}, 0),
    ("WebhookWaits", {"portability_oldest_queued_notice_age_seconds": 86_401}, 0),
    ("InboxWaits", {"portability_oldest_received_work_age_seconds": 901}, 0),
    ("InboxWaits", {"portability_received_failing": 1}, 0),
    ("RetentionPast", {'portability_incidents_total{kind="past_retention"}': 10}, 0),
)
"""The alert, what then differs from a healthy deployment, and for how many minutes the alert waits."""


def _series(changed: Mapping[str, float], minutes: int) -> dict[str, str]:
    """The series of two web processes, which report the same: some minutes of health, then of the change."""
    values = {}
    for name in {*HEALTHY, *changed}:
        before = f"{HEALTHY[name]}x{BEFORE - 1}" if name in HEALTHY else f"_x{BEFORE}"
        after = changed.get(name, HEALTHY.get(name, 0))
        metric, _, labels = name.partition("{")
        for instance in ("a", "b"):
            full = f'{metric}{{instance="{instance}"{"," + labels if labels else "}"}'
            values[full] = f"{before} {after}x{minutes}"
    return values


def test_each_alert_rings_in_time_and_no_other(tmp_path: Path) -> None:
    """A healthy deployment is silent; a fault rings its alert alone, once, after the time that the rule waits."""
    cases = AlertCases()
    for alert, changed, wait in FAULTS:
        before = {BEFORE + wait - 1: set[str]()} if wait else {}
        cases.expect(alert, _series(changed, wait + 1), {BEFORE - 1: set(), **before, BEFORE + wait: {alert}})
    cases.expect("MetricsMissing", {}, {4: set(), 5: {"MetricsMissing"}})
    written_at = {'node_textfile_mtime_seconds{file="/var/lib/node_exporter/portability.prom"}': "0x15"}
    cases.expect("MetricsAreOld", {**_series({}, 6), **written_at}, {10: set(), 11: {"MetricsAreOld"}})
    cases.check(tmp_path)
    assert {case["name"] for case in cases.cases} == {rule["alert"] for rule in alerting.rules()}


def test_an_incident_ends_its_alert_with_its_window(tmp_path: Path) -> None:
    """An hour after the last incident the alert is silent again: no one has to reset a counter."""
    cases = AlertCases()
    alert, changed, _wait = next(fault for fault in FAULTS if fault[0] == "MailUndeliverable")
    cases.expect(alert, _series(changed, 70), {BEFORE: {alert}, BEFORE + 58: {alert}, BEFORE + 61: set()})
    cases.check(tmp_path)


def test_promtool_accepts_the_rules() -> None:
    """Each expression and each template is one that Prometheus reads."""
    programs.run([programs.program("promtool", package="promtool"), "check", "rules", alerting.RULES])


def test_alerts_use_what_is_measured() -> None:
    """Each metric of an expression is one that the product exports, or a known metric of other software."""
    measured = {row["metric"] for row in table(DOCS / "metrics.md", "metric")}
    used = {rule["alert"]: alerting.metric_names(rule["expr"]) for rule in alerting.rules()}
    assert {alert: names - measured - OTHERS for alert, names in used.items() if names - measured - OTHERS} == {}
    assert [alert for alert, names in used.items() if not names] == []


def test_an_alert_says_what_hurts() -> None:
    """Severity, summary, description and runbook; a label that a description shows is one that names no person."""
    for rule in alerting.rules():
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert notes["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
        shown = set(re.findall(r"\$labels\.(\w+)", notes["description"]))
        assert shown <= {"code", "kind", "source", "reason", "purpose", "service", "about"}, rule["alert"]


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    """A page by the alert's name, which says what it means, how to see it, what to do first, and how it ends."""
    alerts = [rule["alert"] for rule in alerting.rules()]
    assert sorted(page.stem for page in RUNBOOKS.glob("*.md")) == sorted(alerts)
    headings = ["What it means", "How to see it", "First steps", "How it ends"]
    for rule in alerting.rules():
        text = (RUNBOOKS / f"{rule['alert']}.md").read_text()
        assert text.startswith(f"# {rule['alert']}\n\n**{rule['annotations']['summary']}**")
        assert f"Severity: {rule['labels']['severity']}." in text
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == headings


def test_the_page_lists_the_alerts() -> None:
    """docs/alerts.md has a row for each alert, in the order of the rules, with severity, delay and summary."""
    rows = [
        (row["alert"], row["severity"], row["after"], row["what hurts"])
        for row in table(DOCS / "alerts.md", "alert")
        if "severity" in row
    ]
    assert rows == [
        (
            f"[{rule['alert']}](runbooks/{rule['alert']}.md)",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            rule["annotations"]["summary"],
        )
        for rule in alerting.rules()
    ]


@pytest.fixture(scope="module")
def panels() -> Sequence[Mapping[str, Any]]:
    """The panels of the dashboard, without the headings."""
    document = json.loads(DASHBOARD.read_text())
    assert (document["uid"], document["title"]) == ("portability", "Portability")
    assert {"schemaVersion", "version", "time", "templating", "annotations"} <= document.keys()
    assert [variable["type"] for variable in document["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_the_dashboard_shows_what_is_measured(panels: Sequence[Mapping[str, Any]], tmp_path: Path) -> None:
    """Each panel asks for metrics of the product, in PromQL that Prometheus reads; none is without panel or reason."""
    measured = {row["metric"] for row in table(DOCS / "metrics.md", "metric")}
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    used = {re.sub("_bucket$", "", name) for each in expressions for name in alerting.metric_names(each)}
    assert used - measured == set()
    shown_or_excused = used | UNSHOWN.keys()
    assert {name for name in measured if name.startswith("portability_")} - shown_or_excused == set()
    assert used & UNSHOWN.keys() == set()
    records = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    programs.run([programs.program("promtool", package="promtool"), "check", "rules", tmp_path / "panels.yaml"])


def test_panels_are_complete_and_beside_each_other(panels: Sequence[Mapping[str, Any]]) -> None:
    """Each panel has a title, a place of its own within the width, and the data source of the variable."""
    places: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        assert cells & places == set(), panel["title"]
        places |= cells
        for source in (panel, *panel["targets"]):
            assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"] or panel["type"] == "alertlist"
