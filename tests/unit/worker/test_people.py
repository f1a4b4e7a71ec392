from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import dataset, things, world
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from portability import pseudonyms
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
from portability.db import open_engine
from portability.errors import DatabaseUnavailable
from portability.requests import Profile
from portability.rows import Rows, line, lines
from worker import people
from worker.people import DEPTH_MAX, MARKS, RULES, People, Treat

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
def treat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Treat]:
    """As a worker treats the batches of an export that it has claimed."""
    made = world(tmp_path_factory.mktemp("people"), {})
    export_id = made.request()
    assert made.claim() is not None
    yield people.treat(made.engine, export_id, Profile.ACCESS, SUBJECT)
    made.engine.dispose()


def treated(treat: Treat, person: Person, value: Any) -> tuple[Any, Counter[str]]:
    """What becomes of one value, and what is counted."""
    batch, counted = treat(TAGGED, Batch([{"id": "1", "text": "usr_9", person.value: value}], "1"))
    record = dict(batch.records[0])
    assert (record.pop("id"), record.pop("text")) == ("1", "usr_9")
    return record.pop(person.value), counted


def test_a_member_of_staff_is_one_agent_everywhere(treat: Treat) -> None:
    """The same id has the same number, another id another one; nothing, and the subject's own id, stay."""
    first, counted = treated(treat, Person.STAFF, "usr_7")
    assert counted == {RULES[Person.STAFF]: 1}
    assert first == treated(treat, Person.STAFF, "usr_7")[0]
    second, _ = treated(treat, Person.STAFF, ["usr_8", None, {"by": "usr_7", "sure": True}])
    assert second[1:] == [None, {"by": first, "sure": True}]
    assert {first, second[0]} == {f"Agent {first.split()[1]}", f"Agent {second[0].split()[1]}"}
    assert first != second[0]
    for kept in (None, "", *OWN):
        assert treated(treat, Person.STAFF, kept) == (kept, Counter())


def test_roles_of_speakers_stay(treat: Treat) -> None:
    """A word for a role names nobody; any other word is a person's, and numbered apart from staff."""
    for word in ROLES_OF_SPEAKERS:
        assert treated(treat, Person.SPEAKER, word) == (word, Counter())
    other, counted = treated(treat, Person.SPEAKER, "Budi, her husband")
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
        # Nobody has checked that the address is the subject's: it is not.
        ([{"name": "Ana", "email": "claimed@example.org"}], [MARK]),
        (
            {"host": {"id": "con_1"}, "guests": [{"id": "con_2"}, {"id": "con_1", "with": ["Budi"]}]},
            {"host": {"id": "con_1"}, "guests": [MARK, {"id": "con_1", "with": [MARK]}]},
        ),
        ({"guests": [{"id": "con_2"}]}, MARK),
    ],
)
def test_others_are_marked_and_the_subject_stays(treat: Treat, given: JSON, left: JSON) -> None:
    """Of a list each entry is looked at; one that holds a verified identity of the subject is theirs."""
    found, counted = treated(treat, Person.OTHER, given)
    assert found == left
    assert sum(counted.values()) == str(left).count(MARK)


def test_a_note_is_marked_where_there_was_one(treat: Treat) -> None:
    """The mark says that there was something, and not what; nothing stays nothing."""
    assert treated(treat, Person.NOTE, "Ana is difficult.") == (NOTE, Counter({RULES[Person.NOTE]: 1}))
    for nothing in (None, ""):
        assert treated(treat, Person.NOTE, nothing) == (nothing, Counter())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(OWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(value=VALUES, secret=st.text("xyz", min_size=12, max_size=12))
@pytest.mark.parametrize("person", [Person.STAFF, Person.OTHER])
def test_nobody_else_is_left_in_a_value(treat: Treat, person: Person, value: Any, secret: str) -> None:
    """Whatever the shape: a text that is no identity of the subject and stands alone in its entry does not pass."""
    for shape in ([value, secret], {"who": [secret], "what": value}, [[{"a": secret}], value], secret):
        found, counted = treated(treat, person, shape)
        assert secret not in str(found)
        assert sum(counted.values()) >= 1


def test_a_bottomless_value_is_marked(treat: Treat) -> None:
    """A stranger's value may be deeper than anybody reads, or go round in circles."""
    circle: list[Any] = ["usr_9"]
    circle.append(circle)
    deep: Any = "usr_9"
    for _ in range(DEPTH_MAX * 3):
        deep = [deep]
    for person in (Person.STAFF, Person.OTHER):
        for value in (circle, deep):
            found, _ = treated(treat, person, value)
            assert "usr_9" not in str(found)
            assert MARK in str(found)


def test_a_tag_on_another_type_leaves_nothing(treat: Treat) -> None:
    """No mark is an integer: the value goes, whatever a plugin declares after it was loaded."""
    numbered = dataset(
        "things", Role.BOTH, Field("n", FieldType.INTEGER, "x", Provenance.OBSERVED, person=Person.STAFF)
    )
    batch, counted = treat(numbered, Batch([{"id": "1", "n": 7}], "1"))
    assert (dict(batch.records[0]), counted) == ({"id": "1", "n": None}, Counter({RULES[Person.STAFF]: 1}))


def test_switch_and_untagged_datasets_cost_nothing(tmp_path: Path) -> None:
    """The very batch comes back, and no database is asked: a tenant's own data is not touched."""
    engine = open_engine(f"sqlite:///{tmp_path}/no/such.sqlite")
    batch = Batch([{"id": "1", "staff": "usr_7"}], "1")
    found, counted = people.treat(engine, "exp_1", Profile.SWITCH, SUBJECT)(TAGGED, batch)
    assert found is batch
    assert not counted
    plain = Batch(things(3), "3")
    assert people.treat(engine, "exp_1", Profile.ACCESS, SUBJECT)(dataset(), plain)[0] is plain
    engine.dispose()


def test_rows_are_treated_as_records_are(treat: Treat) -> None:
    """Whichever of them a source gives: the same values, the same counts, and lines that tell the same."""
    names = [found.name for found in TAGGED.fields]
    values: list[list[JSON]] = [
        ["1", "usr_9", "usr_7", "agent", {"email": "ana@example.org", "n": 2**60}, None],
        ["2", "x", None, "Budi", [{"phone": "+62811"}, 1.5], "private"],
    ]
    records = [dict(zip(names, row, strict=True)) for row in values]
    columns = [list(column) for column in zip(*values, strict=True)]

    plain, counted = treat(TAGGED, Batch(records, "2"))
    rows, counted_in_rows = treat(TAGGED, Batch(Rows(names, columns, bytes(lines(names, columns))), "2"))

    assert isinstance(rows.records, Rows)
    assert (list(rows.records), counted_in_rows) == (list(plain.records), counted)
    assert rows.records.lines == b"".join(line(names, list(record.values())) for record in plain.records)
    assert sum(counted.values()) >= 3


def test_the_database_is_asked_once_a_batch(treat: Treat, monkeypatch: pytest.MonkeyPatch) -> None:
    """And for somebody known not at all: a million calls have few members of staff."""
    assert isinstance(getattr(treat, "__self__", None), People)
    asked: list[int] = []
    numbers = pseudonyms.numbers

    def counting(connection: Any, export_id: str, kind: str, values: Any) -> Any:
        asked.append(len(values))
        return numbers(connection, export_id, kind, values)

    monkeypatch.setattr(pseudonyms, "numbers", counting)
    batch = Batch([{"id": str(n), "staff": f"new_{n % 5}"} for n in range(100)], "100")
    for _ in range(3):
        treat(TAGGED, batch)
    assert asked == [5]


def test_nobody_passes_after_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database was away, who was asked for is not taken for somebody who stays."""
    made = world(tmp_path, {})
    export_id = made.request()
    assert made.claim() is not None
    treat = people.treat(made.engine, export_id, Profile.ACCESS, SUBJECT)
    with monkeypatch.context() as patch:
        patch.setattr(pseudonyms, "numbers", lambda *_: (_ for _ in ()).throw(DatabaseUnavailable("away")))
        with pytest.raises(DatabaseUnavailable):
            treated(treat, Person.STAFF, "usr_7")
    assert treated(treat, Person.STAFF, "usr_7")[0] == "Agent 1"
    made.engine.dispose()


def test_the_identities_are_in_no_repr(tmp_path: Path) -> None:
    """Whatever is logged of it holds nobody."""
    engine: Engine = open_engine(f"sqlite:///{tmp_path}/x.sqlite")
    made = People(engine, "exp_1", frozenset({"ana@example.org"}))
    assert "ana" not in repr(made)
    engine.dispose()
