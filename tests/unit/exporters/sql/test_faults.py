"""Which errors of a source's database pass: a query that fails by them is repeated before its dataset has a gap."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest

from exporters.sql.faults import source_error
from portability.api.errors import SourceRefused, SourceUnavailable


@pytest.mark.parametrize("error", [psycopg.OperationalError(), psycopg.errors.ConnectionTimeout()])
def test_a_server_that_cannot_be_reached_is_asked_later(error: psycopg.Error) -> None:
    """Errors while connecting have no code. A machine that drops what is sent has a class of its own."""
    found = source_error(error, "crm/contacts")
    assert isinstance(found, SourceUnavailable)
    assert "does not answer" in str(found)


@pytest.mark.parametrize("kind", [psycopg.ProgrammingError, psycopg.InternalError])
def test_another_error_without_a_code_is_a_refusal(kind: type[psycopg.Error]) -> None:
    """A second attempt would fail, too."""
    assert isinstance(source_error(kind(), "crm/contacts"), SourceRefused)


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_GETTEMPPATH"])
def test_a_full_folder_for_temporary_files_is_not_the_source(name: str) -> None:
    """A connection that changes nothing writes only what it sorts, on the machine that reads."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = name
    found = source_error(error, "crm/contacts")
    assert isinstance(found, SourceUnavailable)
    assert found.is_local
    assert "TMPDIR" in found.hint
