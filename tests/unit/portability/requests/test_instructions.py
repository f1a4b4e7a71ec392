from __future__ import annotations

import pytest
from factories import World

from portability.api.errors import BadInput
from portability.database.engine import reading, writing
from portability.errors import BadSubject, UnknownInstruction
from portability.requests import instructions
from portability.requests.instructions import Order
from portability.trust import audit

ACTOR = "tenant_admin:jane"


def add(made: World, tenant: str = "ten_1", contact_id: str | None = None, exporters: list[str] | None = None) -> str:
    with writing(made.engine) as connection:
        return instructions.add(connection, tenant, contact_id=contact_id, exporters=exporters, actor=ACTOR)


def orders(made: World) -> tuple[Order, ...]:
    with reading(made.engine) as connection:
        return instructions.orders(connection)


@pytest.mark.requirement("R1")
@pytest.mark.parametrize(
    ("order", "opens"),
    [
        (Order("ten_1", None, None), True),
        (Order("ten_1", "con_1", None), True),
        (Order("ten_1", "con_1", frozenset({"calls"})), True),
        (Order("ten_2", None, None), False),
        (Order("ten_1", "con_2", None), False),
        (Order("ten_1", None, frozenset({"crm"})), False),
        (Order("ten_1", None, frozenset()), False),
    ],
)
def test_an_order_opens_what_it_names_and_nothing_else(order: Order, opens: bool) -> None:
    """Tenant, contact and exporter must all match; null means all."""
    assert order.opens("calls", "ten_1", "con_1") is opens


def test_the_same_standing_order_is_recorded_once(made: World) -> None:
    """Saying it twice changes nothing; any difference is another order."""
    first = add(made, exporters=["crm", "calls"])
    assert add(made, exporters=["calls", "crm", "calls"]) == first
    assert len({first, add(made), add(made, "ten_2"), add(made, contact_id="con_1"), add(made, exporters=["crm"])}) == 5


def test_a_withdrawn_order_opens_nothing_and_stays_on_record(made: World) -> None:
    """Exports that begin later do not see it; who ordered and who withdrew remains."""
    identifier = add(made)
    with writing(made.engine) as connection:
        instructions.withdraw(connection, identifier, actor=ACTOR)
    assert orders(made) == ()
    with reading(made.engine) as connection:
        (row,) = instructions.rows(connection, "ten_1")
        actions = [event["action"] for event in audit.events(connection)]
    assert row["withdrawn_by"] == ACTOR
    assert actions[-2:] == ["instruction.added", "instruction.withdrawn"]
    assert add(made) != identifier


@pytest.mark.parametrize("identifier", ["ins_nothing", ""])
def test_withdrawing_what_does_not_stand_is_bad_input(made: World, identifier: str) -> None:
    """An unknown instruction, and one that is already withdrawn."""
    with writing(made.engine) as connection, pytest.raises(UnknownInstruction):
        instructions.withdraw(connection, identifier, actor=ACTOR)


def test_withdrawing_twice_is_bad_input(made: World) -> None:
    """The second time there is no active instruction with that id."""
    identifier = add(made)
    with writing(made.engine) as connection:
        instructions.withdraw(connection, identifier, actor=ACTOR)
        with pytest.raises(UnknownInstruction):
            instructions.withdraw(connection, identifier, actor=ACTOR)


def test_an_empty_list_never_means_all(made: World) -> None:
    """Null allows every exporter; a list without names is a mistake, and must not release data."""
    with pytest.raises(BadInput, match="no exporter"):
        add(made, exporters=[])
    assert orders(made) == ()


def test_a_contact_has_an_id_of_the_company(made: World) -> None:
    """With the characters of any person's id: also those that only some companies use."""
    assert add(made, contact_id="auth0|G/1")


@pytest.mark.parametrize(("tenant", "contact"), [("", None), ("a/b", None), ("ten_1", ""), ("ten_1", "+62 812")])
def test_names_that_are_none_are_refused(made: World, tenant: str, contact: str | None) -> None:
    """One tenant and one contact are named by id, never by a telephone number or name."""
    with pytest.raises(BadSubject):
        add(made, tenant, contact_id=contact)
