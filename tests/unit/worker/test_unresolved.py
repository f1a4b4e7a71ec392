"""Plug-ins whose `identities()` fail: each costs its own datasets and what only it leads to, and a retry closes it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, records
from factories import MadeUpExporter, World, dataset, world

from portability.api import (
    Batch,
    Cursor,
    Dataset,
    Field,
    FieldType,
    Identity,
    IdentityUse,
    Provenance,
    Record,
    Role,
    Selection,
    Subject,
    SubjectKind,
)
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database.engine import writing
from portability.requests import instructions, retries
from worker.export import advance

pytestmark = pytest.mark.slow

FAULTS: Mapping[str, tuple[str, bool]] = {
    "raises": ("exporter_fault", False),
    "exits": ("exporter_fault", False),
    "hangs": ("source_stalled", True),
    "refuses": ("source_refused", False),
    "away": ("source_unavailable", True),
    "wrong type": ("exporter_fault", False),
}
"""Each fault of a plug-in with the reason of its gap."""
CONTACT = Identity("crm", "contact_id", "con_1", verified=True, tenant="ten_1")
EMAIL = Identity("crm", "email", "mail_1", verified=True)


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    release = threading.Event()
    yield release
    release.set()


@dataclass
class Owned(MadeUpExporter):
    """Records with an owner, selected by any verified identity, one record per batch."""

    records: Sequence[Record] = ()
    batch_records: int = 1
    reads: int = 0

    def export(
        self, subject: Subject, _dataset: Dataset, _selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        self.reads += 1
        owners = {identity.value for identity in subject.identities if identity.verified}
        own_records = [one for one in self.records if str(one["text"]) in owners and str(one["id"]) > (after or "")]
        for number, one in enumerate(own_records):
            self.on_batch(number)
            yield Batch([one], str(one["id"]))


@dataclass
class Crm(Owned):
    """Finds identities, unless something is wrong with it."""

    found: Sequence[Identity] = (EMAIL,)
    wrong: Callable[[], Any] | None = None
    asked: int = 0

    def identities(self, _subject: Subject) -> Any:
        self.asked += 1
        return self.found if self.wrong is None else self.wrong()


@dataclass
class Declared(Owned):
    identity_use: IdentityUse = field(default_factory=lambda: IdentityUse(frozenset(), frozenset()))


def rows(*owners: str) -> list[Record]:
    return [{"id": f"{number:02}", "text": owner} for number, owner in enumerate(owners)]


def fault(name: str, hung: threading.Event) -> Callable[[], Any]:
    def raising(error: BaseException) -> Callable[[], Any]:
        def does() -> Any:
            raise error

        return does

    return {
        "raises": raising(ValueError("jane")),
        "exits": raising(SystemExit("jane")),
        "hangs": lambda: hung.wait(60),
        "refuses": raising(SourceRefused("401")),
        "away": raising(SourceUnavailable("503")),
        "wrong type": lambda: ["jane"],
    }[name]


def states(document: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    return {line["exporter"]: (line["state"], line["records"]) for line in document["datasets"]}


def retry_gaps(made: World, identifier: str) -> int:
    with writing(made.engine) as connection:
        count = retries.retry_gaps(connection, identifier, actor="operator:test")
    made.advance_all()
    return count


def three(folder: Path, crm: Crm, **settings: Any) -> tuple[World, Owned]:
    """The failing plug-in; a dataset that it may lead to; and one that declares that it does not depend on it."""
    calls = Owned(rows("usr_1", "mail_1", "usr_1", "mail_1", "someone"))
    account = Declared(rows("usr_1", "usr_1"))
    return world(folder, {"account": account, "calls": calls, "crm": crm}, source_seconds=0.4, **settings), calls


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("name", FAULTS)
def test_a_plugin_whose_identities_fail_costs_its_own_datasets(
    tmp_path: Path, hung: threading.Event, name: str
) -> None:
    """The archive is made: its datasets and what it may lead to are gaps that name it, all else is complete."""
    made, _calls = three(tmp_path, Crm(rows("mail_1"), wrong=fault(name, hung)))
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    document, (reason, retryable) = export_json(paths), FAULTS[name]
    own = "partial"

    assert made.verify(paths).ok
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    assert states(document) == {"account": ("complete", 2), "calls": ("partial", 2), "crm": (own, 0)}
    gaps = [(gap["exporter"], gap["what"], gap["reason"], gap["retryable"]) for gap in document["gaps"]]
    assert gaps == [
        ("calls", "calls/things: what only identities of crm lead to", reason, retryable),
        (
            "crm",
            "crm/things: the rest of its records, while the identities of crm are not known",
            reason,
            retryable,
        ),
    ]
    assert "jane" not in str(document)


@pytest.mark.parametrize("name", FAULTS)
def test_an_export_of_another_exporter_does_not_ask_it(tmp_path: Path, hung: threading.Event, name: str) -> None:
    """`--include account`: a plug-in that is not asked cannot fail it."""
    crm = Crm(wrong=fault(name, hung))
    made, _calls = three(tmp_path, crm)
    with_account, with_both = made.request(include=["account"]), made.request(include=["account", "crm"])
    made.advance_all()
    assert made.view(with_account)["complete"] is True
    assert states(export_json(made.fetch(with_account))) == {"account": ("complete", 2)}
    assert made.view(with_both)["complete"] is False
    asked = crm.asked
    made.request(include=["account", "calls"])
    made.advance_all()
    assert crm.asked == asked


def test_a_retry_resolves_again_and_reads_what_was_missing(tmp_path: Path) -> None:
    """Only the records that the new identities lead to come, each once; then the archive is complete."""
    crm = Crm(rows("mail_1"), wrong=fault("away", threading.Event()))
    made, _calls = three(tmp_path, crm)
    identifier = made.request()
    made.advance_all()
    assert retry_gaps(made, identifier) == 2
    assert made.view(identifier)["complete"] is False
    assert len(export_json(made.fetch(identifier))["gaps"]) == 2
    crm.wrong = None
    assert retry_gaps(made, identifier) == 2
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert made.view(identifier)["complete"] is True
    document = export_json(paths)
    assert document["gaps"] == []
    assert states(document) == {"account": ("complete", 2), "calls": ("complete", 4), "crm": ("complete", 1)}
    assert sorted(row["id"] for row in records(paths, "calls", "things")) == ["00", "01", "02", "03"]


def test_identities_that_lead_nowhere_close_the_gap_without_reading(tmp_path: Path) -> None:
    """Where the mended plug-in finds nothing of this subject, nothing was missing."""
    crm = Crm(rows("mail_1"), found=(), wrong=fault("raises", threading.Event()))
    made, calls = three(tmp_path, crm)
    identifier = made.request()
    made.advance_all()
    crm.wrong, before = None, calls.reads
    retry_gaps(made, identifier)
    assert made.view(identifier)["complete"] is True
    assert calls.reads == before


def test_a_dataset_that_broke_off_without_identities_is_read_once(tmp_path: Path) -> None:
    """Two faults of one dataset: the rest is read as begun, the additional part from the beginning, no row twice."""
    crm = Crm(rows("mail_1"), wrong=fault("away", threading.Event()))
    made, calls = three(tmp_path, crm)

    def breaks(batch: int) -> None:
        if batch == 1:
            raise SourceRefused("no")

    calls.on_batch = breaks
    identifier = made.request()
    made.advance_all()
    crm.wrong, calls.on_batch = None, lambda _batch: None
    retry_gaps(made, identifier)
    assert made.view(identifier)["complete"] is True
    found = [row["id"] for row in records(made.fetch(identifier), "calls", "things")]
    assert sorted(found) == ["00", "01", "02", "03"]


def long(folder: Path, crm: Crm, *owners: str) -> World:
    """Forty records of these owners in turn, in several volumes."""
    pad = Field("pad", FieldType.STRING, "What does not compress away.", Provenance.PROVIDED)
    owned = [{**row, "pad": secrets.token_hex(20_000)} for row in rows(*(owners * 40)[:40])]
    calls = Owned(owned, datasets=(dataset("things", Role.CONTROLLER, pad),))
    return world(folder, {"calls": calls, "crm": crm}, volume_bytes=65_536, piece_bytes=16_384)


def first_volume(made: World, identifier: str) -> None:
    held = made.claim()
    assert held is not None
    advance(made.place, held)
    assert made.is_open(identifier)


ALL = [f"{number:02}" for number in range(40)]


def test_a_fault_between_two_volumes_breaks_the_dataset_off(tmp_path: Path) -> None:
    """What was begun with all identities is not read on with fewer: the rest is a gap, and a retry fetches it."""
    crm = Crm()
    made = long(tmp_path, crm, "usr_1", "mail_1")
    identifier = made.request()
    first_volume(made, identifier)
    crm.wrong = fault("away", threading.Event())
    made.advance_all()
    assert 0 < states(export_json(made.fetch(identifier)))["calls"][1] < 40
    crm.wrong = None
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    assert (made.view(identifier)["complete"], made.verify(paths).errors) == (True, ())
    assert sorted(str(row["id"]) for row in records(paths, "calls", "things")) == ALL


def test_what_was_begun_without_identities_continues_without(tmp_path: Path) -> None:
    """A plug-in that recovers between two volumes is used for the next dataset; its part of this one needs a retry."""
    crm = Crm(wrong=fault("away", threading.Event()))
    made = long(tmp_path, crm, "usr_1", "mail_1", "usr_1")
    identifier = made.request()
    first_volume(made, identifier)
    crm.wrong = None
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert states(document)["calls"] == ("partial", 27)
    assert [gap["what"] for gap in document["gaps"] if gap["exporter"] == "calls"] == [
        "calls/things: what only identities of crm lead to"
    ]
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    assert (made.view(identifier)["complete"], made.verify(paths).errors) == (True, ())
    assert sorted(str(row["id"]) for row in records(paths, "calls", "things")) == ALL


def test_a_tenant_that_only_a_retry_finds_still_has_to_order(tmp_path: Path) -> None:
    """Data for it that needs an instruction is named, and not delivered before it; after it, a retry delivers it."""
    crm = Crm((), found=(CONTACT,), wrong=fault("away", threading.Event()))
    calls = Owned(rows("con_1"), datasets=(dataset("calls", Role.PROCESSOR),))
    made = world(tmp_path, {"calls": calls, "crm": crm})
    identifier = made.request()
    made.advance_all()
    crm.wrong = None
    retry_gaps(made, identifier)
    (gap,) = export_json(made.fetch(identifier))["gaps"]
    assert (gap["reason"], gap["what"]) == (
        "needs_instruction",
        "calls/calls: what ten_1 has not ordered the export of",
    )
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_1", contact_id=None, exporters=None, actor="operator:test")
    retry_gaps(made, identifier)
    assert made.view(identifier)["complete"] is True
    assert [row["id"] for row in records(made.fetch(identifier), "calls", "calls")] == ["00"]


def test_two_people_are_refused_as_before(tmp_path: Path) -> None:
    """Identities of two accounts are not a fault of one plug-in: no archive is made."""
    other = Identity("crm", "user_id", "usr_2", verified=True)
    made, _calls = three(tmp_path, Crm(found=(other,)))
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["error"]["code"] == "ambiguous_subject"
    assert made.view(identifier)["subject_kind"] == SubjectKind.USER
