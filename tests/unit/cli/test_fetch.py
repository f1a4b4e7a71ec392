"""`portability fetch`: what a person hears of the copy that an operator takes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from factories import World
from faults import Killed
from sqlalchemy import select, update

from portability.database import models
from portability.database.engine import reading, writing
from portability.messages.outbox import MessageKind
from portability.storage.local import LocalStorage

Run = Callable[..., Result]


def told(made: World) -> int:
    """Return how many messages say that an operator has taken a copy."""
    table = models.notification
    with reading(made.engine) as connection:
        return len(connection.scalars(select(table.c.id).where(table.c.kind == MessageKind.FETCHED)).all())


@pytest.mark.slow
def test_a_person_hears_once_of_a_copy(run: Run, made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that continue a killed one make one copy; after its end, or of a later revision, it is new."""
    identifier = made.request("user:usr_1")
    made.advance_all()
    target = made.folder / "mine"

    def dying(_storage: LocalStorage, _key: str, _offset: int = 0) -> Iterator[bytes]:
        yield b"some bytes"
        raise Killed

    def dies() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(LocalStorage, "read", dying)
            with pytest.raises(Killed):
                run("fetch", identifier, "--to", str(target))

    for _ in range(3):
        dies()
        assert told(made) == 1
    (path,) = map(Path, json.loads(run("fetch", identifier, "--to", str(target), "--json").stdout)["archives"])
    assert told(made) == 1
    assert [*target.iterdir()] == [path]

    run("fetch", identifier, "--to", str(target))
    assert told(made) == 2

    mark = target / f"{identifier}.begun"
    mark.write_bytes(b"\xff")  # of another program, or damaged
    run("fetch", identifier, "--to", str(target))
    assert told(made) == 3

    path.unlink()
    dies()
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(revision=models.export.c.revision + 1))
    run("fetch", identifier, "--to", str(target))
    assert told(made) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"), [(errno.ENOSPC, "No space left on device"), (errno.EFBIG, "File too large")]
)
def test_a_full_disk_is_named_and_the_run_continues(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch, fault: int, said: str
) -> None:
    """The error names the folder: the kernel names no file that is open. With free space the same command ends it."""
    identifier = made.request("user:usr_1")
    made.advance_all()
    target = made.folder / "mine"

    def full(_storage: LocalStorage, _key: str, _offset: int = 0) -> Iterator[bytes]:
        yield b"some bytes"
        raise OSError(fault, said)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "read", full)
        done = run("fetch", identifier, "--to", str(target))
    assert done.exit_code == 1
    assert f"cannot use {target}: {said} [storage_full]" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (path,) = map(Path, json.loads(run("fetch", identifier, "--to", str(target), "--json").stdout)["archives"])
    assert [*target.iterdir()] == [path]
