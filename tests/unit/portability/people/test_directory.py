"""How a subject is reached that is an address."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from portability.api import SubjectKind
from portability.api.errors import BrokenPlugin, SourceUnavailable
from portability.errors import UnknownDirectory
from portability.people import directory
from portability.people.directory import NoDirectory, load_directory, look_up, named


def test_an_e_mail_address_is_reached_there() -> None:
    """It is proved, in the form that mail servers take, and no account is behind it. The directory does not know it."""
    contact = look_up(NoDirectory(), named(SubjectKind.EMAIL, "ann@b\u00fccher.example", None))
    assert contact
    assert (contact.address, contact.verified) == ("ann@xn--bcher-kva.example", True)
    assert (contact.language, contact.changed_at, contact.can_log_in) == (None, None, False)


def test_a_number_has_no_mailbox() -> None:
    """It gets SMS."""
    assert look_up(NoDirectory(), named(SubjectKind.PHONE, "+493090182020", None)) is None


SOURCES: Any = SimpleNamespace()
"""Sources that no plug-in of these tests uses."""


def install_directories(monkeypatch: pytest.MonkeyPatch, **factories: Any) -> None:
    found: Mapping[str, Any] = {name: SimpleNamespace(load=lambda made=made: made) for name, made in factories.items()}
    monkeypatch.setattr(directory, "find", lambda _group: found)


def test_the_directory_that_the_settings_name_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name there is a directory without addresses; an unknown name is refused, with the installed names."""
    known = NoDirectory()
    install_directories(monkeypatch, crm=lambda _sources: known, other=lambda _sources: NoDirectory())
    assert load_directory(SOURCES, "crm") is known
    assert isinstance(load_directory(SOURCES, None), NoDirectory)
    with pytest.raises(UnknownDirectory, match="unknown directory 'hr'; installed: crm, other"):
        load_directory(SOURCES, "hr")
    install_directories(monkeypatch)
    with pytest.raises(UnknownDirectory, match="installed: none"):
        load_directory(SOURCES, "hr")


def test_a_plugin_that_is_not_a_directory_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the plug-in and the type, not what the plug-in said; an error of a source is passed on."""

    def fail(_sources: object) -> object:
        raise ValueError("jane@mail.example")

    def wait(_sources: object) -> object:
        raise SourceUnavailable("away")

    install_directories(monkeypatch, text=lambda _sources: "jane@mail.example", fail=fail, wait=wait)
    with pytest.raises(BrokenPlugin, match=r"'text' is not a Directory: it is a str$"):
        load_directory(SOURCES, "text")
    with pytest.raises(BrokenPlugin, match=r"'fail' cannot be started: ValueError$"):
        load_directory(SOURCES, "fail")
    with pytest.raises(SourceUnavailable):
        load_directory(SOURCES, "wait")
