"""Which errors of a source's database pass: a query that fails by them is repeated before its dataset has a gap."""

from __future__ import annotations

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
