from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import dataset, things, world
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from portability.api import (
    JSON,
    ROLES_OF_SPEAKERS,
    Batch,
    Field,
    FieldType,
    Identity,
    Person,
    Provenance,
    Role,
    Subject,
    SubjectKind,
)
from portability.api.rows import Rows, line, lines
from portability.database.engine import open_engine
from portability.errors import DatabaseUnavailable
from portability.law.profiles import Profile
from portability.people.pseudonyms import PseudonymBook
from worker.read import redaction
from worker.read.free_text import FreeText
from worker.read.redaction import DEPTH_MAX, MARKS, RULES, OtherPeople, Redact

OWN = ("usr_1", "con_1", "Ana@Example.org", "+6281200000001")
SUBJECT = Subject(
    SubjectKind.USER,
    None,
    "sub_1",
    (
        *(Identity("account", "any", value, verified=True) for value in OWN),
        Identity("crm", "email", "claimed@example.org", verified=False),
    ),
)
TAGGED = dataset(
    "things",
    Role.CONTROLLER,
    *(
        Field(person.value, kind, "Somebody.", Provenance.OBSERVED, person=person)
        for person, kind in {
            Person.STAFF: FieldType.STRING,
            Person.SPEAKER: FieldType.STRING,
            Person.OTHER: FieldType.OBJECT,
            Person.NOTE: FieldType.STRING,
        }.items()
    ),
)
MARK, NOTE = MARKS[Person.OTHER], MARKS[Person.NOTE]


@pytest.fixture(scope="module")
def redact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redact]:
    """As a worker treats the batches of an export that it has claimed."""
    made = world(tmp_path_factory.mktemp("people"), {})
    export_id = made.request()
    assert made.claim() is not None
    yield redaction.redact(made.engine, export_id, Profile.ACCESS, SUBJECT)
    made.engine.dispose()


def treated(redact: Redact, person: Person, value: Any) -> tuple[Any, Counter[str]]:
    """The result for one value, and the counts."""
    batch, counted = redact(TAGGED, Batch([{"id": "1", "text": "usr_9", person.value: value}], "1"))
    record = dict(batch.records[0])
    assert (record.pop("id"), record.pop("text")) == ("1", "usr_9")
    return record.pop(person.value), counted


def test_a_member_of_staff_is_one_agent_everywhere(redact: Redact) -> None:
    """The same id has the same number, another id has another number; empty values and the subject's own id stay."""
    first, counted = treated(redact, Person.STAFF, "usr_7")
    assert counted == {RULES[Person.STAFF]: 1}
    assert first == treated(redact, Person.STAFF, "usr_7")[0]
    second, _ = treated(redact, Person.STAFF, ["usr_8", None, {"by": "usr_7", "sure": True}])
    assert second[1:] == [None, {"by": first, "sure": True}]
    assert {first, second[0]} == {f"Agent {first.split()[1]}", f"Agent {second[0].split()[1]}"}
    assert first != second[0]
    for kept in (None, "", *OWN):
        assert treated(redact, Person.STAFF, kept) == (kept, Counter())


def test_roles_of_speakers_stay(redact: Redact) -> None:
    """A word for a role identifies no one; any other word is a person's, and numbered separately from staff."""
    for word in ROLES_OF_SPEAKERS:
        assert treated(redact, Person.SPEAKER, word) == (word, Counter())
    other, counted = treated(redact, Person.SPEAKER, "Budi, her husband")
    assert other.startswith("Speaker ")
    assert counted == {RULES[Person.SPEAKER]: 1}


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, None),
        ([], []),
        ({}, {}),
        ("Budi", MARK),
        (17, MARK),
        ("ana@example.ORG ", "ana@example.ORG "),
        (["Budi", "+6281200000001", "+62812"], [MARK, "+6281200000001", MARK]),
        (
            [{"name": "Ana", "email": "ana@example.org"}, {"name": "Budi", "email": "budi@example.org"}],
            [{"name": "Ana", "email": "ana@example.org"}, MARK],
        ),
        # The address was not verified as the subject's, so the entry counts as another person's.
        ([{"name": "Ana", "email": "claimed@example.org"}], [MARK]),
        (
            {"host": {"id": "con_1"}, "guests": [{"id": "con_2"}, {"id": "con_1", "with": ["Budi"]}]},
            {"host": {"id": "con_1"}, "guests": [MARK, {"id": "con_1", "with": [MARK]}]},
        ),
        ({"guests": [{"id": "con_2"}]}, MARK),
    ],
)
def test_others_are_marked_and_the_subject_stays(redact: Redact, given: JSON, left: JSON) -> None:
    """Each entry of a list is examined; an entry with a verified identity of the subject is the subject's."""
    found, counted = treated(redact, Person.OTHER, given)
    assert found == left
    assert sum(counted.values()) == str(left).count(MARK)


@pytest.mark.requirement("R27")
def test_a_note_stays_without_other_people_s_addresses(redact: Redact) -> None:
    """What staff wrote about the subject is the subject's data; a mark shows where another person's address was."""
    note = "Ana pays late. Ask budi@example.org or +62 812 0000 0002, not ana@EXAMPLE.org or 0812-0000-0001."
    left = f"Ana pays late. Ask {NOTE} or {NOTE}, not ana@EXAMPLE.org or 0812-0000-0001."
    assert treated(redact, Person.NOTE, note) == (left, Counter({"other-address": 2}))
    assert treated(redact, Person.NOTE, [{"a": [note, 7, True]}]) == (
        [{"a": [left, 7, True]}],
        Counter({RULES[Person.NOTE]: 2}),
    )
    for same in (None, "", "Ana is difficult.", "claimed by no one"):
        assert treated(redact, Person.NOTE, same) == (same, Counter())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(OWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(value=VALUES, secret=st.text("xyz", min_size=12, max_size=12))
@pytest.mark.parametrize("person", [Person.STAFF, Person.OTHER])
def test_no_one_else_is_left_in_a_value(redact: Redact, person: Person, value: Any, secret: str) -> None:
    """For any shape: a text that is not an identity of the subject and is alone in its entry is redacted."""
    for shape in ([value, secret], {"who": [secret], "what": value}, [[{"a": secret}], value], secret):
        found, counted = treated(redact, person, shape)
        assert secret not in str(found)
        assert sum(counted.values()) >= 1


def test_a_bottomless_value_is_marked(redact: Redact) -> None:
    """A third-party value may be deeper than any reader supports, or contain itself."""
    circle: list[Any] = ["usr_9"]
    circle.append(circle)
    deep: Any = "usr_9"
    for _ in range(DEPTH_MAX * 3):
        deep = [deep]
    for person in (Person.STAFF, Person.OTHER, Person.NOTE):
        for value in (circle, deep):
            found, _ = treated(redact, person, value)
            assert MARK in str(found)
            if person is not Person.NOTE:
                assert "usr_9" not in str(found)


def test_a_tag_on_another_type_leaves_nothing(redact: Redact) -> None:
    """A mark is not an integer: the value is removed, whatever a plug-in declares after it was loaded."""
    numbered = dataset(
        "things", Role.BOTH, Field("n", FieldType.INTEGER, "x", Provenance.OBSERVED, person=Person.STAFF)
    )
    batch, counted = redact(numbered, Batch([{"id": "1", "n": 7}], "1"))
    assert (dict(batch.records[0]), counted) == ({"id": "1", "n": None}, Counter({RULES[Person.STAFF]: 1}))


def test_switch_and_untagged_datasets_cost_nothing(tmp_path: Path) -> None:
    """The very batch comes back, and no database is asked: a tenant's own data is not touched."""
    engine = open_engine(f"sqlite:///{tmp_path}/no/such.sqlite")
    batch = Batch([{"id": "1", "staff": "usr_7"}], "1")
    found, counted = redaction.redact(engine, "exp_1", Profile.SWITCH, SUBJECT)(TAGGED, batch)
    assert found is batch
    assert not counted
    plain = Batch(things(3), "3")
    assert redaction.redact(engine, "exp_1", Profile.ACCESS, SUBJECT)(dataset(), plain)[0] is plain
    engine.dispose()


def test_rows_are_treated_as_records_are(redact: Redact) -> None:
    """Whichever of them a source gives: the same values, the same counts, and lines that tell the same."""
    names = [found.name for found in TAGGED.fields]
    values: list[list[JSON]] = [
        ["1", "usr_9", "usr_7", "agent", {"email": "ana@example.org", "n": 2**60}, None],
        ["2", "x", None, "Budi", [{"phone": "+62811"}, 1.5], "private"],
    ]
    records = [dict(zip(names, row, strict=True)) for row in values]
    columns = [list(column) for column in zip(*values, strict=True)]

    plain, counted = redact(TAGGED, Batch(records, "2"))
    rows, counted_in_rows = redact(TAGGED, Batch(Rows(names, columns, bytes(lines(names, columns))), "2"))

    assert isinstance(rows.records, Rows)
    assert (list(rows.records), counted_in_rows) == (list(plain.records), counted)
    assert rows.records.lines == b"".join(line(names, list(record.values())) for record in plain.records)
    assert sum(counted.values()) >= 3


def test_the_database_is_asked_once_a_batch(redact: Redact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known people are not read again: a million calls have few members of staff."""
    assert isinstance(getattr(redact, "__self__", None), OtherPeople)
    asked: list[int] = []
    numbers = PseudonymBook.numbers

    def counting(book: PseudonymBook, kind: str, values: Any) -> Any:
        asked.append(len(values))
        return numbers(book, kind, values)

    monkeypatch.setattr(PseudonymBook, "numbers", counting)
    batch = Batch([{"id": str(n), "staff": f"new_{n % 5}"} for n in range(100)], "100")
    for _ in range(3):
        redact(TAGGED, batch)
    assert asked == [5]


def test_after_a_fault_nothing_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database was down, the requested people are not taken for people who stay."""
    made = world(tmp_path, {})
    export_id = made.request()
    assert made.claim() is not None
    redact = redaction.redact(made.engine, export_id, Profile.ACCESS, SUBJECT)
    with monkeypatch.context() as patch:
        patch.setattr(PseudonymBook, "numbers", lambda *_: (_ for _ in ()).throw(DatabaseUnavailable("away")))
        with pytest.raises(DatabaseUnavailable):
            treated(redact, Person.STAFF, "usr_7")
    assert treated(redact, Person.STAFF, "usr_7")[0] == "Agent 1"
    made.engine.dispose()


def test_the_identities_are_in_no_repr(tmp_path: Path) -> None:
    """Logs of it name no one."""
    engine: Engine = open_engine(f"sqlite:///{tmp_path}/x.sqlite")
    own = ["ana@example.org", OWN[3]]
    made = OtherPeople(PseudonymBook(engine, "exp_1"), frozenset(own), FreeText.of(own))
    assert not {"ana", OWN[3]} & set(re.findall(r"ana|\+\d+", repr(made)))
    engine.dispose()
