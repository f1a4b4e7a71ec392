from __future__ import annotations

import resource
import zlib
from collections.abc import Sequence

import orjson
import pytest
from viewed import BUILT_IN

from archive.viewer.entries import Sums, sums, talk_entries
from archive.viewer.index import DamagedIndex, ViewerIndex
from portability.api import Dataset, Record

pytestmark = pytest.mark.slow

CONVERSATIONS, MESSAGES = BUILT_IN["chats"][:2]
CALLS = BUILT_IN["calls"][0]
HOME = "e-001"


def indexed(*shards: tuple[Dataset, Sequence[Record]], volume: str = HOME, begin: int = 1) -> ViewerIndex:
    index = ViewerIndex()
    for number, (dataset, rows) in enumerate(shards, begin):
        add(index, dataset, (volume, number), rows)
    return index


def add(
    index: ViewerIndex, dataset: Dataset, place: tuple[str, int], rows: Sequence[Record], *, corrects: bool = False
) -> None:
    entries = talk_entries("chats", dataset, rows)
    index.add("chats", dataset, place, len(rows), entries, corrects=corrects)
    index.count("chats", dataset, sums_of(dataset, rows))


def sums_of(dataset: Dataset, rows: Sequence[Record]) -> Sums:
    return sums("chats", dataset, {field.name: [row.get(field.name) for row in rows] for field in dataset.fields})


def merged(*indexes: ViewerIndex) -> ViewerIndex:
    whole = ViewerIndex()
    for index in indexes:
        whole.absorb(index.dump())
    return whole


def chat(name: str, at: str | None, subject: str | None = None) -> Record:
    return {"id": name, "subject": subject, "channel": "web", "status": None, "opened_at": at}


def message(of: str | None, place: int, text: str | None) -> Record:
    return {
        "id": f"{of}-{place}",
        "conversation_id": of,
        "position": place,
        "text": text,
        "sent_at": "2026-02-01T00:00:00Z",
    }


def test_conversations_are_listed_the_newest_first_with_what_belongs_to_them() -> None:
    """An entry has the facts, the number of messages, the first words, and where everything is."""
    index = indexed(
        (CONVERSATIONS, [chat("c1", "2026-01-01T00:00:00Z", "Bill"), chat("c2", "2026-03-01T00:00:00Z")]),
        (MESSAGES, [message("c1", 0, "Halo"), message("c2", 0, None), message("c2", 1, "  Saya \n mau  tanya ")]),
        (MESSAGES, [message("c2", 2, "ya")]),
    )
    assert [*index.listed("chats")] == [
        [
            "c2",
            "2026-03-01T00:00:00Z",
            [None, "web", None, None],
            3,
            "Saya mau tanya",
            [0, 1],
            [[0, 0, 1, 2], [0, 1, 0, 1]],
        ],
        ["c1", "2026-01-01T00:00:00Z", ["Bill", "web", None, None], 1, "Halo", [0, 0], [[0, 0, 0, 1]]],
    ]
    assert [*index.listed_ids("chats")] == [["c1", 1], ["c2", 0]]


def test_messages_without_their_conversation_are_listed_too() -> None:
    """The record of the conversation is missing: its messages are still reached. Those of none are in the table."""
    index = indexed((MESSAGES, [message("gone", 0, "Halo"), message(None, 1, "x")]))
    assert [*index.listed("chats")] == [["gone", None, [None] * 4, 1, "Halo", None, [[0, 0, 0, 1]]]]


def test_volumes_of_many_machines_make_one_list() -> None:
    """A chat in one volume, its messages in two others: the same entry as from one volume, but for the places."""
    whole = merged(
        indexed((MESSAGES, [message("c1", 0, "Halo")]), volume="e-001"),
        indexed((MESSAGES, [message("c1", 1, "ya")]), volume="e-002"),
        indexed((CONVERSATIONS, [chat("c1", "2026-01-01T00:00:00Z")]), volume="e-003"),
    )
    assert [*whole.listed("chats")] == [
        ["c1", "2026-01-01T00:00:00Z", [None, "web", None, None], 2, "Halo", [0, 0], [[0, 0, 0, 1], [0, 1, 0, 1]]]
    ]
    places = whole.shards()["chats", "messages"]
    assert [(place.volume, place.number, place.rows) for place in places] == [("e-001", 1, 1), ("e-002", 1, 1)]


def test_sums_count_whole_datasets_by_month() -> None:
    """Sums of two volumes add up; records without the time are not counted; each time field is counted by itself."""
    first = indexed((CONVERSATIONS, [chat("a", "2026-01-31T00:00:00Z"), chat("b", None)]))
    second = indexed((CONVERSATIONS, [chat("c", "2026-01-01T00:00:00Z"), chat("d", "2026-02-01T00:00:00Z")]))
    assert merged(first, second).sums("chats", "conversations") == {"opened_at": {"2026-01": 2, "2026-02": 1}}


def test_a_correction_replaces_its_record_in_list_and_sums() -> None:
    """The time of a chat comes later: it is counted once, in its month, and listed with it."""
    before, after = chat("c1", None), chat("c1", "2026-05-01T00:00:00Z", "Bill")
    moved = chat("c2", "2026-04-01T00:00:00Z")
    index = indexed((CONVERSATIONS, [before, moved]))
    add(index, CONVERSATIONS, (HOME, 2), [after, {**moved, "opened_at": "2026-06-01T00:00:00Z"}], corrects=True)
    index.count(
        "chats", CONVERSATIONS, Sums({bucket: -n for bucket, n in sums_of(CONVERSATIONS, [before, moved]).items()})
    )
    assert index.sums("chats", "conversations") == {"opened_at": {"2026-05": 1, "2026-06": 1}}
    assert [entry[:2] for entry in index.listed("chats")] == [
        ["c2", "2026-06-01T00:00:00Z"],
        ["c1", "2026-05-01T00:00:00Z"],
    ]
    assert [place.corrects for place in index.shards()["chats", "conversations"]] == [False, True]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[:-9],
        lambda whole: whole + b"x",
        lambda _: zlib.compress(b"[]\n"),
        lambda _: zlib.compress(b'{"version":2}\n'),
    ],
)
def test_a_damaged_index_is_found(damage: object) -> None:
    """An index that ends early, or is something else, is never a shorter list."""
    whole = b"".join(indexed((CONVERSATIONS, [chat("c1", None)])).dump())
    assert callable(damage)
    with pytest.raises(DamagedIndex):
        ViewerIndex().absorb([damage(whole)])


def test_memory_does_not_grow_with_the_number_of_conversations() -> None:
    """200,000 conversations are added, dumped, merged and listed within 40 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = ViewerIndex()
    for part in range(200):
        rows: list[Record] = [
            {"id": f"c{part:03}{n:04}", "opened_at": "2026-01-01T00:00:00Z", "subject": "s" * 60} for n in range(1_000)
        ]
        add(index, CONVERSATIONS, (HOME, part), rows)
    whole = merged(index)
    assert sum(1 for _ in whole.listed("chats")) == 200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_ids_of_any_type_are_one_conversation() -> None:
    """A source counts its conversations with numbers: the list has them as texts, as an address does."""
    index = indexed(
        (CONVERSATIONS, [{**chat("", None), "id": 7}]), (MESSAGES, [{**message("", 0, "Halo"), "conversation_id": 7}])
    )
    assert [entry[0] for entry in index.listed("chats")] == ["7"]
    assert orjson.loads(orjson.dumps([*index.listed("chats")]))[0][6] == [[0, 0, 0, 1]]
