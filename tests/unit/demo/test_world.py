from __future__ import annotations

from collections import defaultdict

import pytest

from demo.people import Tenant
from demo.plan import SeedPlan
from demo.world import MadeUpWorld, make_world


@pytest.fixture(scope="module")
def world() -> MadeUpWorld:
    return make_world(SeedPlan(tenants=4, users=30, contacts=200))


def test_some_customers_of_different_tenants_share_a_phone_number(world: MadeUpWorld) -> None:
    """Tenant isolation can be tested: one number, two subjects, never twice within a tenant."""
    tenants_of = defaultdict[str, list[Tenant]](list)
    for contact in world.contacts:
        tenants_of[contact.phone].append(contact.tenant)
    shared = [tenants for tenants in tenants_of.values() if len(tenants) > 1]
    assert len(shared) >= 10
    assert all(len(set(tenants)) == len(tenants) for tenants in shared)
    assert world.contacts[0].phone == world.contacts[1].phone


def test_some_users_are_contacts_too(world: MadeUpWorld) -> None:
    """The first user is, with an address that both sides have verified."""
    by_email = {user.email: user for user in world.users}
    both = [contact for contact in world.contacts if contact.email in by_email]
    assert len(both) >= 10
    twin = next(contact for contact in both if contact.email == world.users[0].email)
    assert twin.email_verified_at is not None
    assert world.users[0].email_verified_at is not None
    assert any(contact.email_verified_at is None for contact in both)


def test_some_addresses_are_not_verified(world: MadeUpWorld) -> None:
    """Of users and contacts alike, e-mail and phone alike."""
    for people in (world.users, world.contacts):
        assert any(person.email_verified_at is None for person in people)
        assert any(person.phone_verified_at is None for person in people)


def test_users_and_contacts_never_share_by_accident(world: MadeUpWorld) -> None:
    """Only a contact who is a user has a user's number, and no person has a company's."""
    users = {user.phone: user.email for user in world.users}
    companies = {world.company_number(tenant) for tenant in world.tenants}
    assert len(users) == len(world.users)
    assert all(contact.email == users.get(contact.phone, contact.email) for contact in world.contacts)
    assert companies.isdisjoint(person.phone for person in (*world.users, *world.contacts))


def test_every_address_is_reserved_for_examples(world: MadeUpWorld) -> None:
    """No made-up address or number can be a real one (RFC 2606; unassigned ranges)."""
    assert all(person.email.endswith(".example") for person in (*world.users, *world.contacts))
    assert all(person.phone.startswith(("+6284", "+1555")) for person in (*world.users, *world.contacts))


def test_every_tenant_has_customers(world: MadeUpWorld) -> None:
    """Each has customers, and the first tenants have more customers than the last tenants."""
    counts = [sum(contact.tenant == tenant for contact in world.contacts) for tenant in world.tenants]
    assert min(counts) > 0
    assert counts[0] > counts[-1]


def test_one_of_each_is_enough() -> None:
    """The smallest world has a user, a contact and a tenant."""
    smallest = make_world(SeedPlan(tenants=1, users=1, contacts=1))
    assert smallest.examples().contact_tenant == smallest.tenants[0].id
