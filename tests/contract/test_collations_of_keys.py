"""Keys of texts in two collations: a comparison may take `ANN` for `ann`, although each is the key of another row."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import Selection, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "usr_1")
IN_MARIADB = "varchar(20) character set {0} collate {0}_{1}"
ANY_CASE = "create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
ACCOUNTS = ROWS.replace("orders", "accounts").replace('type = "integer", ', "")
NOTES = ACCOUNTS[ACCOUNTS.index("[[dataset]]") :].replace("accounts", "notes")
OWN = '{ column = "who", identities = ["user_id"] }'
WAYS = {
    "a parent": (ACCOUNTS + NOTES.replace(OWN, '{ column = "account", dataset = "accounts" }')),
    "a step": ROWS.replace("orders", "notes")
    .replace('type = "integer", ', "")
    .replace(OWN, f'{{ through = [{{ table = "accounts", here = "id", key = "account" }}], {OWN[2:]}'),
    "a join": ROWS.replace("orders", "notes").replace('type = "integer", ', "")
    + 'join = { table = "accounts", here = "id", key = "account" }\n'
    + 'fields.label = { joined = "label", text = "Label." }\n',
}
MISTAKEN = [
    ("mysql", IN_MARIADB.format("latin1", "bin"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("mysql", IN_MARIADB.format("utf8mb3", "bin"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("mysql", IN_MARIADB.format("latin1", "general_cs"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("mysql", IN_MARIADB.format("latin1", "swedish_ci"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("sqlite", "text", "text collate nocase"),
    ("sqlite", "text collate nocase", "text"),
    ("sqlite", "text", "text collate rtrim"),
    ("postgresql", "text", "text collate any_case"),
]
SAME = [
    ("mysql", IN_MARIADB.format("latin1", "swedish_ci"), IN_MARIADB.format("utf8mb4", "bin")),
    ("mysql", IN_MARIADB.format("utf8mb4", "bin"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("mysql", IN_MARIADB.format("utf8mb3", "general_ci"), IN_MARIADB.format("utf8mb4", "general_ci")),
    ("mysql", IN_MARIADB.format("latin1", "swedish_ci"), IN_MARIADB.format("latin1", "swedish_ci")),
    ("sqlite", "text collate nocase", "varchar(20) collate nocase"),
    ("sqlite", "text", "varchar(20)"),
    ("postgresql", "text collate any_case", "text collate any_case"),
    ("postgresql", "text", 'text collate "C"'),
]
"""Both columns are compared as each of them is, or by the bytes of their texts."""


def made(request: pytest.FixtureRequest, database: str, folder: Path, key: str, names: str, *statements: str) -> str:
    """Make accounts of two people and their notes, and return the address for an account that can only read."""
    owner, reader = owner_and_reader(request, database, folder)
    execute_all(
        owner,
        *([ANY_CASE] if "any_case" in key + names else []),
        f"create table accounts (id {key} not null primary key, who varchar(9), label varchar(9))",
        f"create table notes (id varchar(9) not null primary key, account {names}, who varchar(9))",
        "insert into accounts values ('ann', 'usr_1', 'own'), ('bob', 'usr_2', 'other')",
        "insert into notes values ('1', 'ann', 'usr_1'), ('2', 'bob', 'usr_2')",
        *statements,
    )
    return reader


@pytest.mark.parametrize(("database", "key", "names"), MISTAKEN)
@pytest.mark.parametrize("way", WAYS)
def test_keys_that_a_comparison_takes_for_one_are_refused(
    request: pytest.FixtureRequest, database: str, key: str, names: str, way: str, tmp_path: Path
) -> None:
    """A person would get the notes of another person, whose key differs in case alone."""
    reader = made(request, database, tmp_path, key, names)
    with mapped_sources() as opened:
        exporter = opened(reader, WAYS[way])
        with pytest.raises(BadMap, match=r"have different collations: a row could lead to the row of another key"):
            exporter.prepare()


@pytest.mark.parametrize(("database", "key", "names"), SAME)
@pytest.mark.parametrize("way", WAYS)
def test_keys_that_are_compared_as_each_is_lead_to_their_rows(
    request: pytest.FixtureRequest, database: str, key: str, names: str, way: str, tmp_path: Path
) -> None:
    """Two names of one collation, and a comparison of bytes, mistake no key."""
    reader = made(request, database, tmp_path, key, names)
    with mapped_sources() as opened:
        exporter = opened(reader, WAYS[way])
        exporter.prepare()
        (batch,) = exporter.export(USER, exporter.datasets[-1], Selection())

        assert [record["id"] for record in batch.records] == ["1"]


@pytest.mark.parametrize(
    ("database", "key", "view"),
    [
        ("sqlite", "text", "account collate binary"),
        ("mysql", IN_MARIADB.format("latin1", "bin"), "convert(account using utf8mb4) collate utf8mb4_bin"),
        ("postgresql", "text", 'account collate "C"'),
    ],
)
def test_a_view_may_write_a_key_in_another_collation(
    request: pytest.FixtureRequest, database: str, key: str, view: str, tmp_path: Path
) -> None:
    """As the hint of the refusal says."""
    names = {"sqlite": "text collate nocase", "postgresql": "text collate any_case"}.get(database, "varchar(20)")
    made_view = f"create view written as select id, who, {view} as account from notes"  # noqa: S608  # of this test alone
    granted = ["grant select on written to public"] if database == "postgresql" else []
    reader = made(request, database, tmp_path, key, names, made_view, *granted)
    with mapped_sources() as opened:
        exporter = opened(reader, WAYS["a parent"].replace('table = "notes"', 'table = "written"'))
        exporter.prepare()
        (batch,) = exporter.export(USER, exporter.datasets[-1], Selection())

        assert [record["id"] for record in batch.records] == ["1"]
