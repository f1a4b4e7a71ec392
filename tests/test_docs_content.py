"""Pages agree with the code about processes, ports, states, exit codes, messages and deadlines."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chaos.failovers import MOVES
from chaos.faults import EMBEDDED, EVERYWHERE, ON_SERVERS
from chaos.kinds import ON_CLUSTER
from repository import ROOT, table

from cli.context import EXIT_CODES
from cli.seed import seed
from portability import safe_http
from portability.delivery import codes, links
from portability.law.deadlines import DeadlineClock, earliest
from portability.law.regime import ExtensionGround, PauseReason, Regime
from portability.law.regime_tables import parse
from portability.law.regimes import DEFAULT_REGIMES, applying
from portability.messages.outbox import MessageKind, MessageState
from portability.requests.policy import ActorRole
from portability.requests.states import EXPORTS, DatasetState, ExportState, LinkState, TransferState, VolumeState
from portability.setting_values import listening_address
from portability.settings import Settings
from portability.storage.s3 import upload
from portability.transfers import sending
from worker.claim import fenced_writes
from worker.clock import dispatch, message_delivery
from worker.write import excerpts

DOCS = ROOT / "docs"
OPERATE = DOCS / "operate.md"
PROCESSES = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
STATES = (ExportState, TransferState, VolumeState, LinkState)
DAY_SECONDS = 86_400
FROZEN = sorted((ROOT / "tests" / "golden" / "portability-1-frozen").glob("*.zip"))
NUMBERS = (
    ("links.md", f"valid for {codes.HOLDS_SECONDS // 60} minutes, {codes.ATTEMPTS_MAX} attempts and one use"),
    ("links.md", f"at most {codes.SENT_MAX} codes an hour"),
    ("links.md", f"at most {links.TTL_MAX_SECONDS // DAY_SECONDS} days"),
    ("transfers.md", f"download for {sending.OFFER_SECONDS // DAY_SECONDS} days"),
    ("transfers.md", f"limit of {safe_http.SECONDS:.0f} seconds and {safe_http.ANSWER_BYTES // 1024} KiB"),
    ("viewer.md", f"first {excerpts.RECORDS_MAX:,} records of each dataset and at most {excerpts.BYTES_MAX >> 20} MiB"),
    ("viewer.md", f"{excerpts.TOTAL_BYTES_MAX >> 20} MiB in total"),
    ("viewer.md", f"the first {excerpts.VALUE_CHARS_MAX:,} characters of each value"),
    ("flow.md", f"up to {fenced_writes.BACKOFF_MAX_SECONDS} seconds, with jitter"),
    ("flow.md", f"in the last {dispatch.REPEAT_SECONDS:.0f} seconds, or"),
    ("flow.md", f"or in the last {dispatch.REPEAT_EMPTY_SECONDS:.0f} seconds if the queue is empty"),
    ("storage.md", f"Parts have {upload.PART_BYTES >> 20} MiB; from the {upload.EQUAL_PARTS:,}th on"),
    ("mail.md", f"after {message_delivery.GIVE_UP_SECONDS // DAY_SECONDS} days `failed`"),
)
"""Sentences with numbers that the code has."""


def test_the_processes_are_those_of_the_procfile() -> None:
    """docs/operate.md has a row for each process that the Procfile starts, and no other."""
    assert {row["process"] for row in table(OPERATE, "process")} == set(PROCESSES.values())


def test_make_run_starts_every_process() -> None:
    """`make run` starts the release first, then every other process of the Procfile; docs/operate.md names them."""
    (recipe,) = re.findall(r"^run:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    started = [names.split() for names in re.findall(r"honcho start (.*)", recipe)]
    (sentence,) = re.findall(r"`make run` runs .*? with honcho: (.*?)\.", OPERATE.read_text(), re.DOTALL)

    assert started == [["release"], [name for name in PROCESSES if name != "release"]]
    assert re.findall(r"`(\w+)`", sentence) == [name for names in started for name in names]


def test_the_default_port_is_on_the_page() -> None:
    """Only web has a port in docs/operate.md: its default, which is that of the embedded stack, too."""
    host, port = listening_address(Settings.model_fields["base_url"].default)
    ports = {row["process"]: row["listens on"] for row in table(OPERATE, "process")}

    assert f"else {port}" in ports.pop("portability web")
    assert set(ports.values()) == {""}
    assert f"listens on {host}, port {port}" in " ".join(OPERATE.read_text().split())


@pytest.mark.parametrize("states", STATES, ids=lambda states: str(states.__name__))
def test_states_are_drawn(states: type[ExportState]) -> None:
    """docs/architecture.md draws every state of exports, transfers, volumes and links."""
    diagrams = "\n".join(
        re.findall(r"^```mermaid\n(.*?)^```", (DOCS / "architecture.md").read_text(), re.MULTILINE | re.DOTALL)
    )

    assert [state.value for state in states if not re.search(rf"\b{state.value}\b", diagrams)] == []


@pytest.mark.parametrize("page", ["flow.md", "storage.md", "operate.md", "links.md"])
def test_states_that_pages_name_exist(page: str) -> None:
    """What a page says an export is, in code, is a state; `complete` is the flag of one without gaps."""
    named = re.findall(r"exports? (?:is|are|becomes?) `(\w+)`", (DOCS / page).read_text())

    assert set(named) <= {*ExportState, "complete"}


def test_the_roles_are_listed() -> None:
    """docs/roles.md has every role, in the order of the code."""
    assert [row["role"] for row in table(DOCS / "roles.md", "role")] == [role.value for role in ActorRole]


def test_the_kinds_of_mail_are_listed() -> None:
    """docs/mail.md has every kind of message and every state of a message, in the order of the code."""
    page = DOCS / "mail.md"

    assert [row["kind"] for row in table(page, "kind")] == [kind.value for kind in MessageKind]
    assert [row["state"] for row in table(page, "state")] == [state.value for state in MessageState]


def test_the_states_of_datasets_are_in_the_format() -> None:
    """docs/archive-format.md names every state in which a dataset of an archive ends: all but `pending`."""
    (sentence,) = re.findall(r"Each dataset ends (.*?),\nwith", (DOCS / "archive-format.md").read_text(), re.DOTALL)

    assert set(re.findall(r"`(\w+)`", sentence)) == {*DatasetState} - {DatasetState.PENDING}


def test_the_exit_codes_are_listed() -> None:
    """docs/errors.md has 0, every code with which an error ends, and that of an interrupt."""
    listed = {row["exit code"] for row in table(DOCS / "errors.md", "exit code")}

    assert listed == {"0", "130", *map(str, EXIT_CODES.values())}


def test_the_keys_of_a_regime_are_listed() -> None:
    """docs/regimes.md has every key of a regime; its example is one that the code reads."""
    page = DOCS / "regimes.md"
    (example,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    keys = {row["key"] for row in table(page, "key")}

    assert keys == {field for field in Regime.__dataclass_fields__ if field not in {"name", "is_own"}}
    assert [regime.profiles for regime in parse(example).values()] == [{"access"}]
    assert {f"`{word}`" for word in (*PauseReason, *ExtensionGround)} <= set(re.findall(r"`\w+`", page.read_text()))


def test_the_default_due_dates_are_on_the_page() -> None:
    """docs/operate.md says when a person's request and a `switch` are due with the default laws."""
    received_at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    text = " ".join(OPERATE.read_text().split())

    def period(profile: str) -> timedelta:
        return earliest(applying(DEFAULT_REGIMES, profile), DeadlineClock(received_at)) - received_at

    assert f"is due {period('access') / timedelta(hours=1):.0f} hours after receipt" in text
    assert f"a `switch` after {period('switch').days} days" in text


@pytest.mark.parametrize(("page", "sentence"), NUMBERS)
def test_numbers_are_those_of_the_code(page: str, sentence: str) -> None:
    """A page gives periods, sizes and limits as the code has them."""
    assert sentence in " ".join((DOCS / page).read_text().split())


def test_the_options_of_seed_are_listed() -> None:
    """docs/demo-data.md has every option of `portability seed` with its default."""
    shared = {"--dir", "--json"}
    defaults = {param.opts[0]: str(param.default) for param in seed.params if not shared & set(param.opts)}
    rows = {row["option"]: row["default"] for row in table(DOCS / "demo-data.md", "option")}
    listed: dict[str, str] = {}
    for names, values in rows.items():
        options = re.findall(r"--[\w-]+", names)
        listed |= dict(zip(options, values.split(", ") if len(options) > 1 else [values], strict=True))

    assert set(listed) == set(defaults)
    assert [name for name, value in defaults.items() if value[:1].isdigit() and listed[name] != value] == []


def test_the_faults_of_chaos_are_listed() -> None:
    """docs/chaos.md has every fault that the tests inject, and no other."""
    rows = list(table(DOCS / "chaos.md", "fault"))
    listed = {name.strip("`") for row in rows for name in row["fault"].split(", ")}

    assert listed == {*EVERYWHERE, *ON_SERVERS, *EMBEDDED, *ON_CLUSTER, *MOVES}


def test_each_threat_names_a_test_that_exists() -> None:
    """docs/threats.md: a test that was renamed or deleted proves nothing."""
    rows = list(table(DOCS / "threats.md", "threat"))
    assert len(rows) > 35
    for row in rows:
        named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", row["test"])
        assert named, row["threat"]
        for file, test in named:
            assert f"def {test}" in (ROOT / file).read_text(), row["threat"]


def test_the_commands_of_the_readme_start_a_deployment() -> None:
    """Web and worker refuse the built-in register on servers: the commands name the register of the deployment."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    before, _, _ = block.partition("portability worker")
    named = set(re.findall(r"^export PORTABILITY_(\w+)=", before, re.MULTILINE))

    urls = {"DATABASE_URL", "SOURCE_URL", "REDIS_URL", "STORAGE_URL", "RECORDINGS_URL", "BASE_URL"}
    assert named == {*urls, "NOTICE_DIR"}


def test_a_failed_export_ends_as_the_pages_say() -> None:
    """A failed export is retried, with the due date of its request, or cancelled; no one can deny it."""
    assert set(EXPORTS[ExportState.FAILED].next) == {ExportState.QUEUED, ExportState.CANCELLED}
    _, _, end = (DOCS / "runbooks" / "ExportsFail.md").read_text().partition("## How it ends")
    assert "retried" in end
    assert "cancelled" in end
    assert "denied" not in end
    (lost,) = (row for row in table(DOCS / "errors.md", "code") if row["code"] == "object_missing")
    (sign,) = (row for row in table(OPERATE, "sign") if row["sign"] == "`failed`, `object_missing`")
    (incident,) = (row for row in table(DOCS / "metrics.md", "kind") if row["kind"] == "object_lost")
    for advice in (lost["what to do"], sign["what to check"], incident["what to do"]):
        assert "`portability retry ID`" in advice


def test_each_file_of_an_archive_is_described_as_the_format_says() -> None:
    """Each description has the names that the page states of each payload file; `encoding` is where it says."""
    page = " ".join((DOCS / "archive-format.md").read_text().split())
    (sentence,) = re.findall(r"`datapackage.json` describes each payload file: (.*?) and the properties below", page)
    stated = set(re.findall(r"`([a-z]+)`", sentence))
    described = [one for path in FROZEN for one in json.loads(_member(path, "datapackage.json"))["resources"]]

    assert stated == {"name", "path", "title", "mediatype", "format", "bytes", "hash"}
    assert [one["path"] for one in described if not stated <= one.keys()] == []
    assert {one["mediatype"] for one in described if one.get("encoding") == "utf-8"} == {
        *("application/jsonl", "text/csv", "application/vcon"),
    }
    assert "Tables and vCons also have `encoding`" in page


def test_what_verification_says_of_an_unreadable_closing_volume_is_on_the_page() -> None:
    """The frozen results name the volume and then its missing list: a reader of two faults finds the reason."""
    cases = json.loads((ROOT / "tests" / "golden" / "portability-1" / "cases.json").read_text())
    (truncated,) = (case for case in cases if case["name"] == "truncated")
    page = " ".join((DOCS / "archive-format.md").read_text().split())

    assert [fault["code"] for fault in truncated["errors"]] == ["truncated_zip", "missing_closing_volume"]
    assert "cannot be read has no list, so `missing_closing_volume` follows its fault" in page


def _member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}/{name}")
