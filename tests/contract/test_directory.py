from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from exporters.reference import schema
from exporters.reference.directory import directory
from portability.api import SubjectKind
from portability.api.directories import Directory
from portability.api.errors import SourceUnavailable
from portability.database.engine import open_engine
from portability.people.directory import last_change, named
from portability.testing import MemoryFiles, SampleSources

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LATELY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def directory_platform(empty_url: str) -> Iterator[Engine]:
    engine = open_engine(empty_url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def known(directory_platform: Engine) -> Directory:
    return directory(SampleSources(directory_platform, MemoryFiles({})))


def user(directory_platform: Engine, identifier: str, **values: object) -> None:
    row = {"id": identifier, "email": f"{identifier}@example.org", "email_verified_at": LONG_AGO, "locale": "id-ID"}
    with directory_platform.begin() as connection:
        connection.execute(insert(schema.users).values(**(row | {"created_at": LONG_AGO} | values)))


def contact(directory_platform: Engine, identifier: str, tenant: str, **values: object) -> None:
    row = {"id": identifier, "tenant_id": tenant, "email": f"{identifier}@example.org", "language": "en"}
    with directory_platform.begin() as connection:
        connection.execute(insert(schema.contacts).values(**(row | {"created_at": LONG_AGO} | values)))


def member(directory_platform: Engine, tenant: str, user_id: str, role: str, **values: object) -> None:
    row = {"id": f"mem_{tenant}_{user_id}", "tenant_id": tenant, "user_id": user_id, "role": role}
    with directory_platform.begin() as connection:
        connection.execute(insert(schema.memberships).values(**(row | {"created_at": LONG_AGO} | values)))


def test_a_user_is_reached_at_the_verified_address(directory_platform: Engine, known: Directory) -> None:
    """Address and language of the account; a closed account has them too, and cannot log in."""
    user(directory_platform, "usr_1")
    user(directory_platform, "usr_2", closed_at=LATELY)

    one, two = (known.contact(named(SubjectKind.USER, identifier, None)) for identifier in ("usr_1", "usr_2"))
    assert one is not None
    assert two is not None
    assert (one.address, one.language, one.verified) == ("usr_1@example.org", "id-ID", True)
    assert (one.can_log_in, two.can_log_in) == (True, False)


def test_an_address_that_no_one_proved_is_not_verified(directory_platform: Engine, known: Directory) -> None:
    """It is reported as unverified: nothing is mailed to it."""
    user(directory_platform, "usr_1", email_verified_at=None)
    found = known.contact(named(SubjectKind.USER, "usr_1", None))

    assert found is not None
    assert not found.verified


def test_a_contact_is_one_tenants(directory_platform: Engine, known: Directory) -> None:
    """The same id at another tenant is another person; a deleted contact is unknown; none of them logs in."""
    contact(directory_platform, "con_1", "ten_a", email_verified_at=LONG_AGO)
    contact(directory_platform, "con_2", "ten_a", deleted_at=LATELY)

    found = known.contact(named(SubjectKind.CONTACT, "con_1", "ten_a"))
    assert found is not None
    assert not found.can_log_in
    assert known.contact(named(SubjectKind.CONTACT, "con_1", "ten_b")) is None
    assert known.contact(named(SubjectKind.CONTACT, "con_2", "ten_a")) is None


def test_a_tenant_is_reached_at_its_administrators(directory_platform: Engine, known: Directory) -> None:
    """The longest-serving current one with a verified address; never an agent."""
    for number, (role, values) in enumerate(
        [
            ("agent", {}),
            ("owner", {"ended_at": LATELY}),
            ("admin", {"created_at": LATELY}),
            ("owner", {"created_at": LATELY - timedelta(days=1)}),
        ]
    ):
        user(directory_platform, f"usr_{number}")
        member(directory_platform, "ten_a", f"usr_{number}", role, **values)
    found = known.contact(named(SubjectKind.TENANT, "ten_a", "ten_a"))

    assert found is not None
    assert found.address == "usr_3@example.org"
    assert known.contact(named(SubjectKind.TENANT, "ten_b", "ten_b")) is None


@pytest.mark.requirement("R18")
@pytest.mark.parametrize(
    "changed", [{"email_verified_at": LATELY}, {"phone_verified_at": LATELY}, {"email_verified_at": None}]
)
def test_a_change_of_contact_data_is_known(
    directory_platform: Engine, known: Directory, changed: dict[str, object]
) -> None:
    """A new address, a new number, or an address that is not proved yet: policy wants a second person then (R18)."""
    user(directory_platform, "usr_1", updated_at=LATELY, **changed)
    user(directory_platform, "usr_2", updated_at=LATELY)

    assert last_change(known, named(SubjectKind.USER, "usr_1", None)) == LATELY
    assert last_change(known, named(SubjectKind.USER, "usr_2", None)) == LONG_AGO
    assert last_change(known, named(SubjectKind.USER, "usr_3", None)) is None


def test_a_new_administrator_is_a_change_of_the_tenants_contact_data(
    directory_platform: Engine, known: Directory
) -> None:
    """The newest member may be the one who asks."""
    user(directory_platform, "usr_1")
    user(directory_platform, "usr_2")
    member(directory_platform, "ten_a", "usr_1", "owner")
    member(directory_platform, "ten_a", "usr_2", "admin", created_at=LATELY)

    assert last_change(known, named(SubjectKind.TENANT, "ten_a", "ten_a")) == LATELY


def test_an_address_is_not_printed(directory_platform: Engine, known: Directory) -> None:
    """Logging the directory's answer logs no address."""
    user(directory_platform, "usr_1")

    assert "example.org" not in repr(known.contact(named(SubjectKind.USER, "usr_1", None)))


def test_a_platform_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Away is not unknown: the mail is sent later."""
    away = open_engine(f"sqlite:///{tmp_path}/nothing.sqlite", read_only=True)
    with pytest.raises(SourceUnavailable):
        directory(SampleSources(away, MemoryFiles({}))).contact(named(SubjectKind.USER, "usr_1", None))
