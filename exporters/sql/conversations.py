"""Whole conversations: a call or chat with all its parts as one record, for formats that make documents.

The shape of the record is described in docs/vcon.md; any exporter may yield it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, func, select

from exporters.sql.creation import existing
from exporters.sql.cursors import cursor
from exporters.sql.faults import UndecodableText, reading
from exporters.sql.files import StatedFile, find_all
from exporters.sql.identifiers import names_any
from exporters.sql.marks import Marks, remarks, remarks_of
from exporters.sql.rows import TakenColumns, rows_of, statement, take
from exporters.sql.source import FILE, TableSource
from portability.api import (
    JSON,
    ROLES_OF_SPEAKERS,
    Batch,
    Cursor,
    Dataset,
    Field,
    FieldType,
    File,
    Gap,
    Person,
    Provenance,
    Record,
    Role,
    Selection,
    Sources,
    Subject,
    SubjectKind,
)

BATCH_CONVERSATIONS = 50
"""Conversations in a batch: each becomes a file in the archive, and a volume ends between batches only."""
BATCH_BYTES = 1 << 20
"""Limit of text in a batch; a longer conversation is a batch of its own, because its document must be complete."""
SEGMENT_BYTES = 200
"""Assumed size of a segment or message beside its text."""

Parts: TypeAlias = Mapping[str, Sequence[Record]]
"""Records of the datasets that belong to one conversation, by dataset."""
Party: TypeAlias = dict[str, JSON]
"""A party with `staff` and `speaker` beside the fields of docs/vcon.md, until `people` separates them."""
ConversationShape: TypeAlias = Callable[[Record, Parts], Record]
"""Makes the record of docs/vcon.md of a conversation's row and its parts. Group `portability.hooks`."""
Found: TypeAlias = Mapping[StatedFile, File | Gap]
"""Files in the file store, by the names in rows."""
Place: TypeAlias = tuple[JSON, JSON]
"""The word for the role of a speaker, and the id of the member of staff."""

# Words of sources, and the words of docs/source-schema.md for them.
SPEAKERS: Mapping[str, str] = {
    **dict.fromkeys(("caller", "customer", "requester", "user", "visitor"), "contact"),
    **dict.fromkeys(("human", "staff"), "human_agent"),
    "ai": "ai_agent",
}
AGENTS = ("ai_agent", "human_agent", "company")


@dataclass(frozen=True, slots=True)
class Whole:
    """How an exporter assembles its conversations."""

    dataset: Dataset
    parent: TableSource
    """One row for each conversation; the id is the last column of its order."""
    parts: Mapping[str, TableSource]
    link: str
    """The field of the parts that refers to the conversation."""
    spoken: str
    """The part with a field `text`, which determines the size of a conversation."""
    joined: ColumnElement[bool]
    """The condition for the rows of this part that belong to a row of the parent."""
    shape: ConversationShape


def dataset(
    title: str,
    description: str,
    *,
    provenance: Provenance,
    role: Role,
    kinds: frozenset[SubjectKind],
    of_staff: bool = False,
) -> Dataset:
    """Make the dataset `vcon` of an exporter."""
    field = partial(_field, provenance)
    fields = (
        field(
            "id",
            FieldType.STRING,
            "Identifier of the call or chat, as in the tables of this exporter; it does not change.",
        ),
        field("kind", FieldType.STRING, "What it is: call or chat."),
        field("tenant_id", FieldType.STRING, "Identifier of the company that uses the platform."),
        field("channel", FieldType.STRING, "Channel of the conversation: phone, web, whatsapp or another channel."),
        field("subject", FieldType.STRING, "What it is about, as it was given; null for a call."),
        field("status", FieldType.STRING, "How it ended technically, or the state that it is in."),
        field("language", FieldType.STRING, "Language, as a tag of BCP 47, such as id or en-GB."),
        field("created_at", FieldType.DATETIME, "When the platform stored it, in UTC."),
        field("started_at", FieldType.DATETIME, "When the talk itself began, in UTC; null if it never did."),
        field("ended_at", FieldType.DATETIME, "When it ended, in UTC; null while it lasts."),
        field("seconds", FieldType.NUMBER, "Length of the talk in seconds; null for a chat."),
        field("parties", FieldType.OBJECT, "Who took part; the person who began it is first.", third_party=True),
        field(
            "staff",
            FieldType.OBJECT,
            "Which member of the company's staff each party is, in the order of the parties; null for others.",
            person=Person.STAFF,
        ),
        field(
            "speakers",
            FieldType.OBJECT,
            "Name of each party that is neither the contact nor of the company, in their order; null for others.",
            person=Person.SPEAKER,
        ),
        field("dialog", FieldType.OBJECT, "What was said or written, in order, with its speaker.", third_party=True),
        field("recordings", FieldType.OBJECT, "Recordings, by the names of their files in this archive."),
        field("attachments", FieldType.OBJECT, "Files that were sent, by their names in this archive."),
        field("analysis", FieldType.OBJECT, "What software concluded from it.", third_party=True, derived=True),
    )
    return Dataset(
        *("vcon", title, description, fields, provenance, role, ("id",), kinds),
        documents=True,
        of_staff=of_staff,
    )


def _field(
    provenance: Provenance,
    name: str,
    kind: FieldType,
    text: str,
    *,
    third_party: bool = False,
    derived: bool = False,
    person: Person | None = None,
) -> Field:
    origin = Provenance.DERIVED if derived else provenance
    return Field(name, kind, text, origin, third_party or person is not None, person)


def batches(
    sources: Sources, whole: Whole, subject: Subject, selection: Selection, after: Cursor | None
) -> Generator[Batch, None, None]:
    """Yield batches of few conversations, in the order of their table; a period selects by the creation time.

    Raises: SourceUnavailable, SourceRefused, ExporterFault (an invalid cursor or slice).
    """
    more = True
    while more:
        try:
            page = _page(sources, whole, subject, selection, after)
        except UndecodableText:
            page = _page(sources, whole, subject, selection, after, lenient=True)
        if page is None:
            return
        kept, children, marks, more = page
        if kept:
            after = cursor(kept[-1].key)
            parts = [one for part in children.values() for ones in part.values() for one in ones]
            stated_files = [one.stated for one in parts if one.stated is not None]
            files = dict(zip(stated_files, find_all(sources.files, stated_files), strict=True))
            records = [_record(files, whole, one, children) for one in kept]
            places = {name: [n for n, one in enumerate(kept) if name in one.marks] for name in marks}
            yield Batch(records, after, gaps=tuple(_gaps(files, whole, kept, parts)), remarks=remarks(places))


def _page(
    sources: Sources,
    whole: Whole,
    subject: Subject,
    selection: Selection,
    after: Cursor | None,
    *,
    lenient: bool = False,
) -> tuple[Sequence[TakenColumns], Mapping[str, Mapping[JSON, Sequence[TakenColumns]]], Marks, bool] | None:
    """Return the next conversations, their parts, the marks, and whether more may follow; None: there can be none."""
    rows = rows_of(whole.parent, subject, selection, after)
    if rows is None:
        return None
    marks = remarks_of(whole.parent, subject, selection)
    with reading(sources.database, whole.dataset.name, lenient=lenient) as connection:
        query = statement(whole.parent, rows, BATCH_CONVERSATIONS, marks).add_columns(_text_bytes(whole))
        found = connection.execute(query).all()
        parents = list(take(whole.parent, [row[:-1] for row in found], marks))
        kept = parents[: _fitting([int(row[-1]) for row in found])]
        children = _children(connection, whole, kept, selection)
    return kept, children, marks, len(kept) < len(parents) or len(parents) == BATCH_CONVERSATIONS


def _gaps(files: Found, whole: Whole, kept: Iterable[TakenColumns], parts: Iterable[TakenColumns]) -> Iterator[Gap]:
    """Yield what the conversations lack: values and files of all their rows, each gap with its conversation's key."""
    for one in kept:
        yield from (replace(gap, fields=()) for gap in one.gaps)
    for one in parts:
        conversation = one.record[whole.link]
        key = (conversation,) if isinstance(conversation, str) else ()
        yield from (replace(gap, key=key, fields=()) for gap in one.gaps)
        if one.stated is not None and isinstance(missing := files[one.stated], Gap):
            yield replace(missing, key=key)


def seats(parties: list[Party], spoken: Iterable[Place]) -> Mapping[Place, int]:
    """Return each speaker's index among the parties; unknown speakers are added to them."""
    return {place: _seat(parties, *place) for place in dict.fromkeys(spoken) if isinstance(place[0], str)}


def people(parties: Sequence[Party]) -> Record:
    """Return the parties, with staff and others in separate fields, because the host redacts whole fields."""
    plain = [{name: value for name, value in party.items() if name not in {"staff", "speaker"}} for party in parties]
    return {
        "parties": plain,
        "staff": [party.get("staff") for party in parties],
        "speakers": [party.get("speaker") for party in parties],
    }


def _seat(parties: list[Party], speaker: JSON, staff: JSON) -> int:
    """Return the index for one speaker: each member of staff, and each other person, has a separate one."""
    if speaker not in ROLES_OF_SPEAKERS:
        return _place(parties, ("speaker",), speaker=speaker)
    roles = AGENTS if speaker == "agent" else (SPEAKERS.get(str(speaker), str(speaker)),)
    if staff is not None and "human_agent" in roles:
        return _place(parties, ("human_agent",), staff=staff)
    return _place(parties, roles)


def _place(parties: list[Party], roles: Sequence[str], **who: JSON) -> int:
    """Return the index of the first party of these roles that matches or may match; append one if no party matches."""
    for role in roles:
        for place, party in enumerate(parties):
            if party["role"] == role and all(party.get(name) in {None, value} for name, value in who.items()):
                party.update(who)
                return place
    parties.append({"role": roles[0] if len(roles) == 1 else "agent", **who})
    return len(parties) - 1


def named(record: Record, **names: str) -> dict[str, JSON]:
    """Return values of a record under other names."""
    return {name: record[field] for name, field in names.items()}


def _text_bytes(whole: Whole) -> ColumnElement[int]:
    """Return the size of what was spoken or written in a conversation, as an expression for a row of the parent."""
    spoken = whole.parts[whole.spoken]
    columns = dict(zip((field.name for field in spoken.dataset.fields), spoken.columns, strict=False))
    size = func.coalesce(func.sum(func.length(columns["text"])), 0) + SEGMENT_BYTES * func.count()
    query = select(size).select_from(spoken.table).where(whole.joined)
    return query.correlate(whole.parent.table).scalar_subquery()


def _fitting(sizes: Sequence[int]) -> int:
    """Return how many of the conversations with these sizes fit into one batch: at least one, if there is any."""
    total_bytes = 0
    for count, size in enumerate(sizes):
        total_bytes += size
        if count and total_bytes > BATCH_BYTES:
            return count
    return len(sizes)


def _children(
    connection: Connection, whole: Whole, parents: Sequence[TakenColumns], selection: Selection
) -> Mapping[str, Mapping[JSON, Sequence[TakenColumns]]]:
    """Return rows of every part by their conversation."""
    return {name: _of_part(connection, whole, source, parents, selection) for name, source in whole.parts.items()}


def _of_part(
    connection: Connection, whole: Whole, source: TableSource, parents: Sequence[TakenColumns], selection: Selection
) -> Mapping[JSON, Sequence[TakenColumns]]:
    stated = () if source.filter is None else source.filter.belonging.where
    conditions = (condition.on(source.table) for condition in stated)
    wanted = and_(_of(whole, parents), *existing(source, selection), *conditions)
    found: dict[JSON, list[TakenColumns]] = {}
    for one in take(source, connection.execute(statement(source, wanted, None)).all()):
        found.setdefault(one.record[whole.link], []).append(one)
    return found


def _of(whole: Whole, parents: Sequence[TakenColumns]) -> ColumnElement[bool]:
    return names_any(whole.parent.order[-1], [str(one.record["id"]) for one in parents])


def _record(
    files: Found, whole: Whole, parent: TakenColumns, children: Mapping[str, Mapping[JSON, Sequence[TakenColumns]]]
) -> Record:
    of_this = {name: part.get(parent.record["id"], ()) for name, part in children.items()}
    parts = {name: [_with_file(files, name, one) for one in ones] for name, ones in of_this.items()}
    return whole.shape(parent.record, parts)


def _with_file(files: Found, part: str, one: TakenColumns) -> Record:
    """Return the record with its file's location in the archive; null for a missing file, which is a gap."""
    if one.stated is None:
        return one.record
    found = files[one.stated]
    if not isinstance(found, File):
        return {**one.record, FILE: None}
    truth = {"media_type": found.media_type, "bytes": found.size, "sha256": found.sha256}
    return {**one.record, **truth, FILE: f"{part}/{found.name}"}
