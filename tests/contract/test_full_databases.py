"""A database without room for what it sorts: it is read later, and who runs it learns what is full."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import servers
from chaos.disk import needed_disk
from servers.process import folder_of, unprivileged
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api import JSON, Selection, SubjectKind
from portability.api.errors import SourceUnavailable
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
WORDS = (
    "create table words (id integer primary key, who varchar(9), word longtext)",
    "insert into words select seq, 'ann', repeat('x', 1000) from seq_1_to_3000",
)
SORTED = "select id, who, word from words group by word, id, who"
UNITED = "select id, who, word from words union select id + 0, who, word from words"
"""What needs a temporary table."""
NO_ROOM = r"orders: the database has no room for temporary files \({0}\)"


def test_a_full_disk_of_mariadb_is_read_later() -> None:
    """What it sorts is a file, whose error is 3. It calls a temporary table that it cannot write damaged (126)."""
    with (
        folder_of("full", unprivileged()) as folder,
        needed_disk(folder / "disk") as disk,
        servers.mariadb(f"--tmpdir={disk.folder}") as server,
    ):
        name = server.create_database()
        owner, reader = server.url(name), server.url(name, name, password="reader")
        execute_all(owner, *WORDS)
        disk.fill()
        _lacks_room(owner, reader, SORTED, "InternalError 3")
        _lacks_room(owner, reader, UNITED, "InternalError 126")
        disk.empty()
        assert len(_words_of_ann(reader)) == 3000


LIMITS = [
    ("max_tmp_session_space_usage", SORTED, "InternalError 41"),
    ("max_tmp_session_space_usage", UNITED, "InternalError 201"),
    ("max_tmp_total_space_usage", SORTED, "InternalError 42"),
    ("max_tmp_total_space_usage", UNITED, "InternalError 202"),
    ("tmp_disk_table_size", UNITED, "OperationalError 1114"),
]
"""Limits for one session, and for all, with what a small one refuses."""


def test_limits_of_mariadb_for_temporary_files_are_named(
    request: pytest.FixtureRequest, tmp_path: Path, mariadb_server: servers.MariaDB
) -> None:
    """Each has its own error."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(owner, *WORDS)
    for limit, view, seen in LIMITS:
        mariadb_server.execute(f"set global {limit} = 65536")
        try:
            _lacks_room(owner, reader, view, seen)
        finally:
            mariadb_server.execute(f"set global {limit} = default")


def test_a_limit_of_postgresql_for_temporary_files_is_named(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """`temp_file_limit` is that of a session."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    account = reader.partition("//")[2].partition("@")[0].partition(":")[0]
    execute_all(
        owner,
        "create table words (id integer primary key, who varchar(9), word text)",
        "insert into words select n, 'ann', md5(n::text) || repeat('x', 400) from generate_series(1, 30000) n",
        f'alter role "{account}" set temp_file_limit = 64',
        f'alter role "{account}" set work_mem = 64',
    )
    _lacks_room(
        owner, reader, "select id, who, word from words order by word offset 0", "ConfigurationLimitExceeded 53400"
    )
    execute_all(owner, f'alter role "{account}" reset all')


def _lacks_room(owner: str, reader: str, view: str, seen: str) -> None:
    """Read `view`, and prove that the error says that it is temporary files."""
    execute_all(owner, f"create or replace view orders as {view}")
    with pytest.raises(SourceUnavailable, match=NO_ROOM.format(re.escape(seen))) as failed:
        _words_of_ann(reader)
    assert "tmpdir" in failed.value.hint


def _words_of_ann(reader: str) -> Sequence[dict[str, JSON]]:
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + 'fields.word = { text = "Value." }')
        batches = exporter.export(ANN, exporter.datasets[0], Selection())
        return [dict(one) for batch in batches for one in batch.records]
