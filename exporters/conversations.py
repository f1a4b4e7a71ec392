"""Whole conversations: a call or chat with all that belongs to it as one record, for formats that make documents.

The shape of the record is described in docs/vcon.md; any exporter may yield it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection, and_, func, select

from exporters.faults import reading
from exporters.files import Promise, find_all
from exporters.rows import Taken, cursor, rows_of, statement, take
from exporters.source import FILE, Source
from exporters.translations import indonesian
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
"""Each one becomes a file in the archive, and a volume ends between batches only."""
BATCH_BYTES = 1 << 20
"""Of text in a batch; a longer conversation makes one of its own, whole: a document has to hold all of it."""
SEGMENT_BYTES = 200
"""About what one segment or message takes beside its text."""

Parts: TypeAlias = Mapping[str, Sequence[Record]]
"""Records of the datasets that belong to one conversation, by dataset."""
Party: TypeAlias = dict[str, JSON]
"""With `staff` and `speaker` beside what docs/vcon.md names, until `people` sets them apart."""
Found: TypeAlias = Mapping[Promise, File | Gap]
"""What the file store has of the files that rows name."""
Place: TypeAlias = tuple[JSON, JSON]
"""The word for who speaks, and which member of staff it is."""

# Words of sources for what docs/source-schema.md calls otherwise.
SPEAKERS: Mapping[str, str] = {
    **dict.fromkeys(("caller", "customer", "requester", "user", "visitor"), "contact"),
    **dict.fromkeys(("human", "staff"), "human_agent"),
    "ai": "ai_agent",
}
AGENTS = ("ai_agent", "human_agent", "company")


@dataclass(frozen=True, slots=True)
class Whole:
    """How an exporter puts its conversations together."""

    dataset: Dataset
    parent: Source
    """One row each conversation; the id is the last of its order."""
    parts: Mapping[str, Source]
    link: str
    """Field of the parts that names the conversation."""
    spoken: str
    """The part with a field `text`, by which the size of a conversation is judged."""
    shape: Callable[[Record, Parts], Record]


def dataset(
    title: str, description: str, *, provenance: Provenance, role: Role, kinds: frozenset[SubjectKind]
) -> Dataset:
    """The dataset `vcon` of an exporter."""
    field = partial(_field, provenance)
    fields = (
        field("id", FieldType.STRING, "Identifier of the call or chat for ever, as in the tables of this exporter."),
        field("kind", FieldType.STRING, "What it is: call or chat."),
        field("tenant_id", FieldType.STRING, "Identifier of the company that uses the platform."),
        field("channel", FieldType.STRING, "Way of the conversation: phone, web, whatsapp or another one."),
        field("subject", FieldType.STRING, "What it is about, as it was given; null for a call."),
        field("status", FieldType.STRING, "How it ended technically, or the state that it is in."),
        field("language", FieldType.STRING, "Language, as a tag of BCP 47, such as id or en-GB."),
        field("created_at", FieldType.DATETIME, "When the platform stored it, in UTC."),
        field("started_at", FieldType.DATETIME, "When the talk itself began, in UTC; null if it never did."),
        field("ended_at", FieldType.DATETIME, "When it ended, in UTC; null while it lasts."),
        field("seconds", FieldType.NUMBER, "Length of the talk in seconds; null for a chat."),
        field("parties", FieldType.OBJECT, "Who took part, whoever began it first.", third_party=True),
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
        title_id=indonesian(title),
        description_id=indonesian(description),
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
    return Field(name, kind, text, origin, third_party or person is not None, person, indonesian(text))


def batches(
    sources: Sources, whole: Whole, subject: Subject, selection: Selection, after: Cursor | None
) -> Generator[Batch, None, None]:
    """Few conversations each, in the order of their table; a period selects by when the conversation was created.

    Raises: SourceUnavailable, SourceRefused, ExporterFault (a cursor or slice that is not from here).
    """
    more = True
    while more:
        rows = rows_of(whole.parent, subject, selection, after)
        if rows is None:
            return
        with reading(sources.database, whole.dataset.name) as connection:
            found = connection.execute(statement(whole.parent, rows, BATCH_CONVERSATIONS))
            parents = list(take(whole.parent, found.all()))
            kept = parents[: _fitting(connection, whole, parents)]
            children = _children(connection, whole, kept, selection)
        more = len(kept) < len(parents) or len(parents) == BATCH_CONVERSATIONS
        if kept:
            after = cursor(kept[-1].key)
            parts = [one for part in children.values() for ones in part.values() for one in ones]
            promises = [one.promise for one in parts if one.promise is not None]
            files = dict(zip(promises, find_all(sources.files, promises), strict=True))
            records = [_record(files, whole, one, children) for one in kept]
            yield Batch(records, after, gaps=tuple(gap for one in (*kept, *parts) for gap in one.gaps))


def seats(parties: list[Party], spoken: Iterable[Place]) -> Mapping[Place, int]:
    """Where each speaker sits among the parties; one whom nobody has announced is added to them."""
    return {place: _seat(parties, *place) for place in dict.fromkeys(spoken) if isinstance(place[0], str)}


def people(parties: Sequence[Party]) -> Record:
    """The parties, and apart from them who of the staff and who else they are: the host treats fields as a whole."""
    plain = [{name: value for name, value in party.items() if name not in {"staff", "speaker"}} for party in parties]
    return {
        "parties": plain,
        "staff": [party.get("staff") for party in parties],
        "speakers": [party.get("speaker") for party in parties],
    }


def _seat(parties: list[Party], speaker: JSON, staff: JSON) -> int:
    """Of one voice: each member of staff sits apart, and so does each other person on the line."""
    if speaker not in ROLES_OF_SPEAKERS:
        return _place(parties, ("speaker",), speaker=speaker)
    roles = AGENTS if speaker == "agent" else (SPEAKERS.get(str(speaker), str(speaker)),)
    if staff is not None and "human_agent" in roles:
        return _place(parties, ("human_agent",), staff=staff)
    return _place(parties, roles)


def _place(parties: list[Party], roles: Sequence[str], **who: JSON) -> int:
    """The first party of these roles that is, or may be, the one in question; at the end, if there is none."""
    for role in roles:
        for place, party in enumerate(parties):
            if party["role"] == role and all(party.get(name) in {None, value} for name, value in who.items()):
                party.update(who)
                return place
    parties.append({"role": roles[0] if len(roles) == 1 else "agent", **who})
    return len(parties) - 1


def named(record: Record, **names: str) -> dict[str, JSON]:
    """Values of a record under other names."""
    return {name: record[field] for name, field in names.items()}


def _fitting(connection: Connection, whole: Whole, parents: Sequence[Taken]) -> int:
    """How many of the conversations come into one batch: one at least, where there is any."""
    spoken = whole.parts[whole.spoken]
    columns = {column.name: column for column in spoken.columns}
    link, size = columns[whole.link], func.coalesce(func.sum(func.length(columns["text"])), 0)
    query = select(link, size + SEGMENT_BYTES * func.count()).select_from(spoken.origin).group_by(link)
    sizes = dict(tuple(row) for row in connection.execute(query.where(_of(whole, parents))))
    total_bytes = 0
    for count, one in enumerate(parents):
        total_bytes += int(sizes.get(one.record["id"], 0))
        if count and total_bytes > BATCH_BYTES:
            return count
    return len(parents)


def _children(
    connection: Connection, whole: Whole, parents: Sequence[Taken], selection: Selection
) -> Mapping[str, Mapping[JSON, Sequence[Taken]]]:
    """Rows of every part by the conversation that they belong to."""
    return {name: _of_part(connection, whole, source, parents, selection) for name, source in whole.parts.items()}


def _of_part(
    connection: Connection, whole: Whole, source: Source, parents: Sequence[Taken], selection: Selection
) -> Mapping[JSON, Sequence[Taken]]:
    wanted = _of(whole, parents)
    if selection.began_at is not None:
        wanted = and_(wanted, source.created <= selection.began_at)
    found: dict[JSON, list[Taken]] = {}
    for one in take(source, connection.execute(statement(source, wanted, None)).all()):
        found.setdefault(one.record[whole.link], []).append(one)
    return found


def _of(whole: Whole, parents: Sequence[Taken]) -> Any:  # noqa: ANN401  # a ColumnElement[bool], of a Column[Any]
    return whole.parent.order[-1].in_([one.record["id"] for one in parents])


def _record(
    files: Found, whole: Whole, parent: Taken, children: Mapping[str, Mapping[JSON, Sequence[Taken]]]
) -> Record:
    of_this = {name: part.get(parent.record["id"], ()) for name, part in children.items()}
    parts = {name: [_with_file(files, name, one) for one in ones] for name, ones in of_this.items()}
    return whole.shape(parent.record, parts)


def _with_file(files: Found, part: str, one: Taken) -> Record:
    """The record with its file as it lies in the archive; a missing one is a gap of the part's own dataset already."""
    if one.promise is None:
        return one.record
    found = files[one.promise]
    if not isinstance(found, File):
        return {**one.record, FILE: None}
    truth = {"media_type": found.media_type, "bytes": found.size, "sha256": found.sha256}
    return {**one.record, **truth, FILE: f"{part}/{found.name}"}
