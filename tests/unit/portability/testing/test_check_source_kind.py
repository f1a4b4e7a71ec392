from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from portability.api import (
    Batch,
    Dataset,
    Exporter,
    Field,
    FieldType,
    IdentityUse,
    Provenance,
    Role,
    SourceDeclaration,
    Sources,
    SubjectKind,
)
from portability.api.errors import BadSetting
from portability.api.references import resolve
from portability.plugins import SOURCE_KINDS, find
from portability.testing import MemoryFiles, SampleSources, check_source_kind, declared_section, open_section

FIELDS = (Field("id", FieldType.STRING, "Identifier.", Provenance.OBSERVED),)
DECLARED = SourceDeclaration("shelf", "shelf", {"url": "shelf://a", "token": "env:SHELF_TOKEN"}, Path())
SOURCES = SampleSources(create_engine("sqlite://"), MemoryFiles())


@dataclass
class EmptyShelf:
    """An exporter of nothing."""

    name: str = "rows"
    subject_kinds: frozenset[SubjectKind] = frozenset({SubjectKind.USER})

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [Dataset(self.name, "Rows", "Your rows.", FIELDS, Provenance.OBSERVED, Role.CONTROLLER, ("id",))]

    def export(self, *_about: object, after: str | None = None) -> Generator[Batch, None, None]:
        del after
        yield from ()


@dataclass
class DeclaringEmptyShelf(EmptyShelf):
    """It says by which identities it selects."""

    identity_use: IdentityUse = IdentityUse(frozenset(), frozenset())  # noqa: RUF009  # it is frozen


def good(declared: SourceDeclaration, _sources: Sources) -> Exporter:
    keys = declared.texts("url", "token")
    resolve(keys["token"], "token")
    return DeclaringEmptyShelf()


def undeclared(declared: SourceDeclaration, sources: Sources) -> Exporter:
    good(declared, sources)
    return EmptyShelf()


def named(declared: SourceDeclaration, sources: Sources) -> Exporter:
    good(declared, sources)
    return DeclaringEmptyShelf(f"{declared.name}_rows")


def tolerant(_declared: SourceDeclaration, _sources: Sources) -> Exporter:
    return DeclaringEmptyShelf()


def careless(declared: SourceDeclaration, _sources: Sources) -> Exporter:
    declared.texts("url", "token")
    return DeclaringEmptyShelf()


def talkative(declared: SourceDeclaration, _sources: Sources) -> Exporter:
    token = declared.texts("url", "token")["token"]
    if not token.startswith("env:"):
        raise BadSetting(f"token {token} is not a reference")
    return DeclaringEmptyShelf()


WRONG: Mapping[str, tuple[Callable[[SourceDeclaration, Sources], Exporter], str]] = {
    "says nothing of identities": (undeclared, "do not declare by which identities they select"),
    "datasets by section": (named, "a section with another name has other datasets"),
    "accepts every key": (tolerant, "an unknown key of the section is accepted"),
    "secret in plain text": (careless, "token: a secret in plain text is accepted"),
    "repeats the secret": (talkative, "token: the error repeats the value"),
}


def test_a_good_kind_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses what it does not know, and reads secrets by reference."""
    monkeypatch.setenv("SHELF_TOKEN", "secret")
    check_source_kind(good, DECLARED, SOURCES, secrets=["token"])


@pytest.mark.parametrize("case", WRONG)
def test_what_a_kind_does_wrong_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """One sentence each."""
    monkeypatch.setenv("SHELF_TOKEN", "secret")
    kind, rule = WRONG[case]
    with pytest.raises(AssertionError, match=rule) as raised:
        check_source_kind(kind, DECLARED, SOURCES, secrets=["token"])
    assert ". To mend it, " in str(raised.value)


HTTP_MAP = """
title = "Desk"
role = "controller"
kinds = ["email"]
[[identity]]
from = "email"
get = "/users"
params = { email = "{email}" }
verify = { "email" = "email" }
gives = "desk_user"
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Your tickets."
provenance = "provided"
for_each = "desk_user"
get = "/users/{desk_user}/tickets"
scoped = true
[dataset.fields]
id = { text = "Identifier." }
"""
SQL_MAP = """
title = "Shop"
role = "controller"
kinds = ["email"]
[[dataset]]
name = "orders"
title = "Orders"
description = "Your orders."
provenance = "provided"
table = "orders"
rows = [{ column = "email", identities = ["email"] }]
[dataset.fields]
id = { text = "Identifier." }
[dataset.internal]
email = "the customer's address"
"""
SECTIONS = """
[desk]
kind = "http"
map = "http.toml"
base_url = "https://desk.example"
auth = { kind = "none" }
[shop]
kind = "sql"
map = "sql.toml"
url = "env:SHOP_URL"
trusts = ["desk"]
"""


@pytest.mark.parametrize(("name", "secrets"), [("desk", []), ("shop", ["url"])])
def test_the_built_in_kinds_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, secrets: Sequence[str]
) -> None:
    """With sections and maps as an operator writes them; the keys of the host are not keys of the kind."""
    for file, text in (("http.toml", HTTP_MAP), ("sql.toml", SQL_MAP), ("sources.toml", SECTIONS)):
        (tmp_path / file).write_text(text)
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    declared = declared_section(tmp_path / "sources.toml", name)
    opened = open_section(tmp_path / "sources.toml", name, SOURCES)
    assert [dataset.name for dataset in opened.datasets] == [{"desk": "tickets", "shop": "orders"}[name]]
    check_source_kind(find(SOURCE_KINDS)[declared.kind].load(), declared, SOURCES, secrets=secrets)
    assert declared.trusts == (None if name == "desk" else ("desk",))
