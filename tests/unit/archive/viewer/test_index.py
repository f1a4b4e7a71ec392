from __future__ import annotations

import resource
import zlib
from collections.abc import Mapping, Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewed import BUILT_IN

from archive.viewer.index import DamagedIndex, ViewerIndex
from archive.viewer.shards import SHARD_BYTES, cut
from portability.api import Dataset, Record

CONVERSATIONS, MESSAGES = BUILT_IN["chats"][:2]
CALLS = BUILT_IN["calls"][0]
HOME = "e-001"


def indexed(*shards: tuple[Dataset, Sequence[Record]], volume: str = HOME, begin: int = 1) -> ViewerIndex:
    index = ViewerIndex()
    for number, (dataset, rows) in enumerate(shards, begin):
        index.add("chats", dataset, (volume, number), rows)
    return index


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


@given(st.lists(st.binary(max_size=50).map(lambda text: text.replace(b"\n", b"") + b"\n")), st.data())
def test_shards_are_the_lines_however_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    """Blocks that end anywhere give the same lines, whole and in order."""
    whole = b"".join(lines)
    ends = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    blocks = [whole[begin:end] for begin, end in zip([0, *ends], [*ends, len(whole)], strict=True)]
    assert b"".join(cut(blocks)) == whole
    assert all(shard.endswith(b"\n") for shard in cut(blocks))


def test_a_shard_ends_with_the_line_that_fills_it() -> None:
    """A shard has less than its size and one line, however long that line is."""
    line, long = b"x" * 999 + b"\n", b"y" * (3 * SHARD_BYTES) + b"\n"
    found = list(cut([line * 2_000, long, line]))
    assert [len(shard) for shard in found[:-1]] == [525_000, 525_000, 525_000, 425_000 + len(long)]
    assert found[-1] == line
    assert SHARD_BYTES == 524_288


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
    index.add(
        "chats",
        CONVERSATIONS,
        (HOME, 2),
        [after, {**moved, "opened_at": "2026-06-01T00:00:00Z"}],
        corrects=True,
        earlier=[before, moved],
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
        rows: list[Mapping[str, object]] = [
            {"id": f"c{part:03}{n:04}", "opened_at": "2026-01-01T00:00:00Z", "subject": "s" * 60} for n in range(1_000)
        ]
        index.add("chats", CONVERSATIONS, (HOME, part), rows)
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
