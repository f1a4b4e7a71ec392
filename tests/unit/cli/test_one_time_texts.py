"""Texts that are shown only once: where one cannot be written, what it opens is not made."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from click.testing import Result
from factories import World

from cli.context import Context
from portability.database.engine import reading
from portability.delivery import links


@pytest.fixture
def made(made: World) -> World:
    """With the key of links, as the embedded stack makes it."""
    return made.with_all_keys()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_link_whose_url_cannot_be_written_is_not_made(
    run: Callable[..., Result], made: World, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """Standard output is on a full disk: the command fails, and no link exists that no one can use."""
    identifier = made.request("user:usr_jane")
    made.advance_all()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Context, "result", full)
        failed = run("link", identifier, *options)
    assert (failed.exit_code, "storage_full" in failed.output) == (1, True)
    with reading(made.engine) as connection:
        assert links.of(connection, identifier) == []
    assert run("link", identifier).stdout.startswith("http")
