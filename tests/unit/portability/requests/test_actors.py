from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from portability.api.errors import BadInput
from portability.errors import NotAllowed
from portability.requests.actors import acting
from portability.requests.policy import ROLES
from portability.settings import Settings, load_settings


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    return load_settings(dir=tmp_path)


@pytest.fixture
def deployed(tmp_path: Path) -> Settings:
    return load_settings(dir=tmp_path, redis_url="redis://localhost/0")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_be_claimed_on_the_embedded_stack(embedded: Settings, role: str) -> None:
    """One person has all roles on one laptop; the audit log records which."""
    assert str(acting(embedded, f"{role}:jane")) == f"{role}:jane"


def test_a_role_is_not_believed_where_servers_are_configured(deployed: Settings) -> None:
    """It cannot be checked there."""
    with pytest.raises(NotAllowed):
        acting(deployed, "officer:jane")


@pytest.mark.parametrize("claimed", ["", "officer", "officer:", "king:jane", "officer:a b", "officer:" + "a" * 101])
def test_an_invalid_claim_is_refused(embedded: Settings, claimed: str) -> None:
    """What is not ROLE:ID is bad input, before anything is written."""
    with pytest.raises(BadInput, match="ROLE:ID"):
        acting(embedded, claimed)


def test_an_operator_is_the_account_and_not_a_variable(deployed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit log names who the system says it is; LOGNAME could say anything."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert str(acting(deployed, None)) == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"


def test_an_account_without_a_name_is_its_number(deployed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container any number may run the command, and it must not crash."""

    def unknown(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert str(acting(deployed, None)) == f"operator:{os.getuid()}"
