from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from factories import MadeUpExporter, dataset, things
from workers import until

from portability.api import (
    Batch,
    Dataset,
    Field,
    FieldType,
    File,
    Gap,
    Provenance,
    Role,
    Selection,
    Subject,
    SubjectKind,
)
from portability.api.errors import ExporterFault, SourceRefused, SourceUnavailable
from portability.errors import BadDate
from worker.plan.plan import PlanLine
from worker.read.reader import Reader, SourcePatience

SUBJECT = Subject(SubjectKind.USER, None, "sub_1")


def line(of: Dataset | None = None, *, taken: Dataset | None = None) -> PlanLine:
    of = of or dataset()
    return PlanLine("made", taken or of, frozenset(field.name for field in of.fields), SUBJECT)


def reader(
    exporter: MadeUpExporter, *, retries: int = 0, after: str | None = None, of: PlanLine | None = None
) -> Reader:
    patience = SourcePatience(retries, wait=lambda _seconds: None)
    return Reader(exporter, of or line(), Selection(), after, patience)


def drain(made: Reader) -> list[str]:
    """Ids of all records up to the end."""
    return [str(record["id"]) for batch in iter(made.next, None) for record in batch.records]


@dataclass
class Yielding(MadeUpExporter):
    """Yields the given values."""

    records: Sequence[Any] = ()
    given: Iterable[Any] = ()
    closed: list[bool] = field(default_factory=list)

    def export(self, *_args: Any, **_kwargs: Any) -> Generator[Batch, None, None]:
        try:
            yield from self.given
        finally:
            self.closed.append(True)


def test_the_next_batch_is_read_while_one_is_used() -> None:
    """The source does not wait for the encoder; reading ahead changes no cursor, and is closed at the end."""
    began, ended = threading.Event(), threading.Event()

    def batches() -> Iterator[Batch]:
        try:
            yield Batch([things(1)[0]], "1")
            began.set()
            yield Batch([things(2)[1]], "2")
        finally:
            ended.set()

    made = reader(Yielding(given=batches()))
    assert made.next() is not None
    assert began.wait(30), "nothing is read ahead"
    assert made.after == "1"
    made.close()
    assert ended.wait(30), "what was read ahead is left open"


def test_batches_come_whole_and_in_order() -> None:
    """After the end: nothing more, and no fault."""
    made = reader(MadeUpExporter(things(7), batch_records=3))
    assert drain(made) == [f"thing_{n}" for n in range(7)]
    assert made.next() is None
    assert (made.after, made.fault, made.ended) == ("7", None, True)


def test_reading_continues_after_a_cursor() -> None:
    """The same cursor gives the same rest."""
    assert drain(reader(MadeUpExporter(things(7)), after="4")) == ["thing_4", "thing_5", "thing_6"]


def test_looking_ahead_takes_nothing_away() -> None:
    """`ended` reads one batch ahead; `after` is still the cursor of the last returned batch."""
    made = reader(MadeUpExporter(things(4), batch_records=2))
    made.next()
    assert made.ended is False
    assert made.after == "2"
    assert drain(made) == ["thing_2", "thing_3"]


def unavailable_until(count: int, error: Exception) -> Callable[[int], None]:
    left = [count]

    def on_batch(number: int) -> None:
        if number == 1 and left[0] > 0:
            left[0] -= 1
            raise error

    return on_batch


def test_an_unavailable_source_is_asked_again_from_where_it_stopped() -> None:
    """Within its patience nothing is lost and nothing doubled."""
    exporter = MadeUpExporter(things(6), on_batch=unavailable_until(2, SourceUnavailable("away")))
    made = reader(exporter, retries=2)
    assert drain(made) == [f"thing_{n}" for n in range(6)]
    assert made.fault is None


def test_patience_ends() -> None:
    """What was given before is kept; the fault is the source's own and can be retried later."""
    waits: list[float] = []
    exporter = MadeUpExporter(things(6), on_batch=unavailable_until(9, SourceUnavailable("away")))
    made = Reader(exporter, line(), Selection(), None, SourcePatience(3, waits.append))
    assert drain(made) == ["thing_0", "thing_1", "thing_2"]
    assert isinstance(made.fault, SourceUnavailable)
    assert len(waits) == 3
    assert all(0.1 * 2**n <= wait <= 0.3 * 2**n for n, wait in enumerate(waits))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SourceRefused("no"), "no"),
        (ValueError("jane@example.org"), "made/things raised ValueError"),
        (BadDate("jane@example.org"), "made/things raised bad_date"),
        (RecursionError("jane@example.org"), "made/things raised RecursionError"),
        (StopIteration("jane@example.org"), "made/things raised RuntimeError"),
    ],
)
def test_an_exporter_that_raises_ends_its_dataset(error: Exception, message: str) -> None:
    """Not retried; a third-party message may contain anything, so only its type is reported."""
    exporter = MadeUpExporter(things(6), on_batch=unavailable_until(9, error))
    made = reader(exporter, retries=5)
    assert drain(made) == ["thing_0", "thing_1", "thing_2"]
    assert str(made.fault) == message


class Nameless:
    def keys(self) -> frozenset[str]:
        raise ValueError("jane@example.org")


def _file(**changes: Any) -> File:
    return replace(File("a.wav", "audio/wav", 1, lambda _offset: iter([b"x"])), **changes)


@pytest.mark.parametrize(
    "batch",
    [
        None,
        {"id": "jane"},
        Batch([], None),  # type: ignore[arg-type]  # a stranger's
        Batch([], 7),  # type: ignore[arg-type]
        Batch([], "nul\0"),
        Batch([], "\ud800"),
        Batch(None, "1"),  # type: ignore[arg-type]
        Batch((record for record in things(2)), "1"),  # type: ignore[arg-type]
        Batch("jane", "1"),  # type: ignore[arg-type]
        Batch([["jane"]], "1"),  # type: ignore[list-item]
        Batch([Nameless()], "1"),  # type: ignore[list-item]
        Batch([{"id": "1", "password_hash": "jane"}], "1"),
        Batch([{"id": "1", 7: "jane"}], "1"),  # type: ignore[dict-item]
        Batch([], "1", files=None),  # type: ignore[arg-type]
        Batch([], "1", files=("jane",)),  # type: ignore[arg-type]
        Batch([], "1", files=(_file(name=None),)),
        Batch([], "1", files=(_file(size=-1),)),
        Batch([], "1", files=(_file(size="1"),)),
        Batch([], "1", files=(_file(media_type=None),)),
        Batch([], "1", files=(_file(media_type="audio/\ud800"),)),
        Batch([], "1", gaps=("jane",)),  # type: ignore[arg-type]
    ],
)
def test_a_contract_violation_ends_the_dataset_before_that_batch(batch: Any) -> None:
    """What the pipeline could not carry is met here, as the exporter's fault: the archive continues without it."""
    exporter = Yielding(given=[Batch(things(1), "1"), batch, Batch(things(3), "3")])
    made = reader(exporter, retries=5)
    assert drain(made) == ["thing_0"]
    assert isinstance(made.fault, ExporterFault)
    assert "jane" not in str(made.fault)
    assert made.after == "1"


def test_a_record_has_the_fields_that_the_profile_takes() -> None:
    """An exporter may yield every field that it declares; what the profile leaves out stops here."""
    mood = Field("mood", FieldType.STRING, "Guessed.", Provenance.DERIVED)
    made = reader(MadeUpExporter([{"id": "1", "mood": "sad"}]), of=line(dataset("d", Role.BOTH, mood), taken=dataset()))
    batch = made.next()
    assert batch is not None
    assert batch.records == ({"id": "1"},)


def test_a_list_that_the_exporter_fills_again_was_copied() -> None:
    """The reader looks a batch ahead: what it holds must not change under it."""
    buffer: list[dict[str, str]] = []

    class Reusing(Yielding):
        def export(self, *_args: Any, **_kwargs: Any) -> Generator[Batch, None, None]:
            for n in range(3):
                buffer[:] = [{"id": str(n)}]
                yield Batch(buffer, str(n))

    made = reader(Reusing())
    first = made.next()
    assert made.ended is False
    assert first is not None
    assert [first.records, *(batch.records for batch in iter(made.next, None))] == [
        ({"id": "0"},),
        ({"id": "1"},),
        ({"id": "2"},),
    ]


def test_names_that_cannot_be_stored_are_made_so_and_kept_apart() -> None:
    """Lone surrogates break JSON, NUL breaks PostgreSQL, and of two files with one name a position finds the first."""
    names = ["a\0.wav", "a\ud800.wav", "a?.wav", "b.wav", "b.wav", "b-2.wav", "c", "c"]
    made = reader(Yielding(given=[Batch([], "1", tuple(_file(name=name) for name in names), (Gap("x\0", "y" * 99),))]))
    batch = made.next()
    assert batch is not None
    kept = [file.name for file in batch.files]
    assert kept == ["a?.wav", "a?-2.wav", "a?-3.wav", "b.wav", "b-2.wav", "b-2-2.wav", "c", "c-2"]
    assert batch.gaps == (Gap("x?", "y" * 64),)


def test_a_record_whose_file_cannot_be_told_from_another_has_a_gap() -> None:
    """Two files of a batch have one name, and two records have it in a field: either may mean the other file."""
    given = [{"id": str(number), "text": name} for number, name in enumerate(["b.wav", "b.wav", "a.wav", "b-2.wav"])]
    files = tuple(_file(name=name) for name in ("a.wav", "b.wav", "b.wav"))
    batch = reader(Yielding(given=[Batch(given, "1", files)])).next()
    assert batch is not None
    assert [file.name for file in batch.files] == ["a.wav", "b.wav", "b-2.wav"]
    assert batch.gaps == tuple(
        Gap(f"things/{key}/text", "exporter_fault", key=(key,), fields=("text",)) for key in ("0", "1")
    )


def test_closing_early_frees_the_exporters_resources() -> None:
    """Also after a fault, also twice."""
    exporter = Yielding(given=[Batch(things(1), "1"), Batch(things(1), "2")])
    made = reader(exporter)
    made.next()
    made.close()
    made.close()
    until(lambda: exporter.closed == [True], "what is read ahead ends, then the generator")


@pytest.mark.parametrize("error", [ValueError, GeneratorExit])
def test_a_clean_up_that_raises_costs_nothing(error: type[BaseException]) -> None:
    """Every batch given out was whole: what a stranger's `finally` does must not poison the volume."""

    class Untidy(Yielding):
        def export(self, *_args: Any, **_kwargs: Any) -> Generator[Batch, None, None]:
            try:
                yield Batch(things(1), "1")
                yield Batch(things(1), "2")
            finally:
                raise error

    made = reader(Untidy())
    made.next()
    made.close()
    assert made.fault is None
