from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from portability.api import (
    Batch,
    Dataset,
    Field,
    FieldType,
    Gap,
    Identity,
    Provenance,
    Record,
    Role,
    Selection,
    Size,
    Subject,
    SubjectKind,
)
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.testing import (
    FaultMode,
    MemoryFiles,
    SourceFaults,
    check_exporter,
    check_faults,
    sample_subject,
)

FIELDS = (Field("id", FieldType.STRING, "Identifier.", Provenance.OBSERVED),)
ROWS = Dataset("rows", "Rows", "Rows.", FIELDS, Provenance.OBSERVED, Role.CONTROLLER, ("id",))
USER = sample_subject(SubjectKind.USER, "usr_1")
RECORDS: Sequence[Record] = tuple({"id": str(number)} for number in range(5))


@dataclass
class Remote:
    """An exporter of a source in memory, two records for each call; `broken` says what it does wrong."""

    faults: SourceFaults
    broken: str = ""
    places: dict[str, int] = field(default_factory=dict)
    subject_kinds: frozenset[SubjectKind] = frozenset({SubjectKind.USER})
    datasets: Sequence[Dataset] = (ROWS,)

    def _call(self) -> None:
        match self.faults.due():
            case None:
                return
            case _ if self.broken == "raises another error":
                raise KeyError("id")
            case FaultMode.REFUSED if self.broken != "retries refusals":
                raise SourceRefused("no")
            case _:
                raise SourceUnavailable("away")

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: str | None = None
    ) -> Generator[Batch, None, None]:
        del dataset, selection
        if "usr_1" not in subject.verified("user_id"):
            return
        begin = self.places.get(after or "", 0) if self.broken == "keeps its place" else int(after or 0)
        for number in range(begin, len(RECORDS), 2):
            for _ in range(301 if self.broken == "calls for each row" else 1):
                try:
                    self._call()
                except SourceUnavailable:
                    if self.broken == "ends quietly":
                        return
                    if self.broken == "names a gap":
                        yield Batch((), str(number), gaps=(Gap("rows", "source_unavailable", retryable=True),))
                        return
                    if self.broken == "loses a batch":
                        yield Batch((), str(number + 2))
                    raise
            batch = RECORDS[number : number + 2]
            end = number + len(batch)
            self.places[str(end)] = end
            yield Batch(batch, str(end))

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        del dataset, selection
        try:
            self._call()
        except SourceUnavailable:
            if self.broken == "counts nothing":
                return Size(0)
            raise
        return Size(len(RECORDS) if "usr_1" in subject.verified("user_id") else 0)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        try:
            self._call()
        except SourceUnavailable:
            if self.broken == "knows no address":
                return ()
            raise
        return (
            [Identity("rows", "email", "a@b.example", verified=True)] if "usr_1" in subject.verified("user_id") else []
        )


def checked(broken: str = "") -> None:
    faults = SourceFaults()
    check_faults(lambda: Remote(faults, broken), USER, faults)


def test_an_exporter_that_says_what_failed_passes() -> None:
    """An error of the API, or a gap that names what is missing, at each call and for each kind of fault."""
    checked()
    checked("names a gap")


@pytest.mark.parametrize(
    ("broken", "rule", "fix"),
    [
        (
            "raises another error",
            r"export\(\) raises KeyError if a call of the source is unavailable",
            "SourceUnavailable",
        ),
        (
            "retries refusals",
            r"export\(\) raises SourceUnavailable if a call of the source is refused",
            "SourceRefused",
        ),
        (
            "ends quietly",
            "unavailable looks like the end of the data",
            "raise SourceUnavailable, or name what is missing",
        ),
        ("loses a batch", "a retry after a call that is unavailable gives other records", "whose cursor is after"),
        (
            "keeps its place",
            "rows: a new worker after batch 0 reads other records",
            "keep the whole place in the cursor",
        ),
        ("calls for each row", "a batch needs more than 300 calls", "read related rows together"),
        ("counts nothing", r"count\(\) gives another answer", "what is unknown is not absent"),
        ("knows no address", r"identities\(\) gives another answer", "what is unknown is not absent"),
    ],
)
def test_each_wrong_answer_to_a_fault_is_named_with_what_to_do(broken: str, rule: str, fix: str) -> None:
    """One sentence says what is wrong, the next one how to mend it."""
    with pytest.raises(AssertionError, match=rule) as raised:
        checked(broken)
    _, _, mend = str(raised.value).partition(". To mend it, ")
    assert fix in mend


def test_a_source_that_is_not_watched_is_named() -> None:
    """Otherwise the check would pass without a fault."""
    with pytest.raises(AssertionError, match="no call of the source was seen"):
        check_faults(lambda: Remote(SourceFaults()), USER, SourceFaults())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database of its own."""
    made = create_engine(f"sqlite:///{tmp_path}/source.db")
    yield made
    made.dispose()


@pytest.mark.parametrize(
    ("mode", "name"),
    [(FaultMode.UNAVAILABLE, "SQLITE_IOERR"), (FaultMode.SLOW, "SQLITE_BUSY"), (FaultMode.REFUSED, "SQLITE_AUTH")],
)
def test_a_statement_fails_with_the_drivers_error(engine: Engine, mode: FaultMode, name: str) -> None:
    """The chosen statement alone, as SQLAlchemy passes it on."""
    faults = SourceFaults()
    faults.watch(engine)
    faults.arm(mode, at=2)
    with engine.connect() as connection:
        assert connection.scalar(text("select 1")) == 1
        with pytest.raises(DBAPIError) as raised:
            connection.scalar(text("select 2"))
        assert connection.scalar(text("select 3")) == 3
    assert getattr(raised.value.orig, "sqlite_errorname", None) == name
    assert (faults.calls, faults.failed) == (3, 1)


def test_databases_that_an_exporter_opens_itself_fail_within_the_block(engine: Engine) -> None:
    """Whichever engine it is; afterwards no statement is counted."""
    faults = SourceFaults()
    with faults.watching(), engine.connect() as connection:
        faults.arm(FaultMode.UNAVAILABLE, at=1)
        with pytest.raises(DBAPIError):
            connection.scalar(text("select 1"))
    with engine.connect() as connection:
        assert connection.scalar(text("select 2")) == 2
    assert faults.calls == 1


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        (FaultMode.UNAVAILABLE, SourceUnavailable),
        (FaultMode.SLOW, SourceUnavailable),
        (FaultMode.REFUSED, SourceRefused),
    ],
)
def test_a_file_store_fails(mode: FaultMode, error: type[Exception]) -> None:
    """Both calls of the protocol."""
    faults = SourceFaults()
    store = faults.files(MemoryFiles({"a": b"1"}))
    calls: tuple[Callable[[], object], ...] = (lambda: store.stat("a"), lambda: next(store.read("a")))
    for call in calls:
        faults.arm(mode, at=1)
        with pytest.raises(error):
            call()
        call()


def test_an_http_client_gets_what_servers_answer() -> None:
    """503, a timeout of the client, and 403; other requests reach the server."""
    faults = SourceFaults()
    client = httpx.Client(transport=faults.transport(httpx.MockTransport(lambda _request: httpx.Response(200))))
    seen: list[object] = []
    for mode in FaultMode:
        faults.arm(mode, at=1)
        try:
            seen.append(client.get("https://source.example/").status_code)
        except httpx.TimeoutException as error:
            seen.append(type(error))
        assert client.get("https://source.example/").status_code == 200
    assert seen == [503, httpx.ReadTimeout, 403]


@dataclass
class Flickering(Remote):
    """Does not answer every second call."""

    calls: Iterator[int] = field(default_factory=count)

    def _call(self) -> None:
        if next(self.calls) % 2 == 0:
            raise SourceUnavailable("away")


def test_the_check_reads_on_after_a_fault_as_the_host_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of a real source in the middle of the check is not a fault of the exporter; a lasting one is named."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    check_exporter(Flickering(SourceFaults()), USER)
    assert set(waited) == {0.2}
    with pytest.raises(AssertionError, match=r"rows: the source is unavailable\. To mend it, see that it runs"):
        check_exporter(Gone(SourceFaults()), USER)
    assert waited[-3:] == [0.2, 0.4, 0.8]


@dataclass
class Gone(Remote):
    """Does not answer any more."""

    def _call(self) -> None:
        raise SourceUnavailable("away")
