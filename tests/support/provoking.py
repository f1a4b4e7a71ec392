"""Causes of events of the audit log: each is a real call, command, clock pass or worker step, with its own data."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from click.testing import CliRunner, Result
from factories import World
from postbox import Postbox
from served import Browser, Served
from structlog.testing import capture_logs
from transferring import Provider

from cli.main import main
from portability.api.errors import StorageUnavailable
from portability.database.engine import reading
from portability.storage.local import LocalStorage, LocalUpload
from portability.trust import audit
from worker.context import WorkerContext


class _Away(LocalStorage):
    """A storage that does not answer."""

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        raise StorageUnavailable(f"{key} at {offset}, {etag}: away")

    def begin(self, key: str, **more: Any) -> LocalUpload:
        raise StorageUnavailable(f"{key}, {more}: away")


@dataclass
class Stage:
    """A running deployment with approvals, another provider and a mail server; commands run in its folder."""

    served: Served
    other: Provider
    box: Postbox
    environment: Mapping[str, str]
    folder: Path

    @property
    def world(self) -> World:
        return self.served.world

    def person(self) -> str:
        """A subject that no other cause has."""
        return f"usr_{secrets.token_hex(6)}"

    def call(self, method: str, path: str, sub: str, *roles: str, status: int = 200, **more: Any) -> Any:
        answer = self.served.call(method, path, sub, *roles, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def command(self, *arguments: str, code: int = 0) -> Result:
        """A command of an operator, whom the operating system knows."""
        with capture_logs():  # the server's threads would write into the command's output
            result = CliRunner(env={**self.environment, "COLUMNS": "250"}).invoke(main, arguments)
        assert result.exit_code == code, result.output
        return result

    def ask(self, person: str, *include: str, status: int = 201, **more: Any) -> str:
        """A request of the person, by the API; of `chats` it needs an approval."""
        wanted = {"profile": "access", "subject": f"user:{person}", "include": include or ("calls",), **more}
        return str(self.call("POST", "/v1/exports", person, json=wanted, status=status)["id"])

    def ready(self, person: str, **more: Any) -> str:
        identifier = self.ask(person, **more)
        self.world.advance_all()
        assert self.world.view(identifier)["state"] == "ready"
        return identifier

    @contextmanager
    def browser(self, *login: str, **more: Any) -> Iterator[Browser]:
        with self.served.browser(*login, **more) as visitor:
            yield visitor

    def post(self, visitor: Browser, action: str, page: str, status: int = 303, **fields: Any) -> httpx.Response:
        answer = visitor.send(action, page=page, **fields)
        assert answer.status_code == status, answer.text
        return answer

    def without_storage(self) -> WorkerContext:
        """What a worker has whose storage does not answer."""
        place = self.world.place
        return WorkerContext(place.settings, place.engine, _Away(self.folder / "archives"), place.exporters)

    def head(self) -> int:
        with reading(self.world.engine) as connection:
            return audit.head(connection).event_id

    def recorded(self, after: int) -> list[Mapping[str, Any]]:
        """What the log has of late."""
        with reading(self.world.engine) as connection:
            return [dict(event) for event in audit.events(connection, after=after)]


Cause = Callable[[Stage], World | None]
"""It returns a world if its events are in the log of another deployment than the stage's."""
_CAUSES: dict[Cause, tuple[str, ...]] = {}


def causes(*modules: ModuleType) -> Mapping[Cause, tuple[str, ...]]:
    """Return the causes of some modules, each with the actions that it provokes."""
    names = {module.__name__ for module in modules}
    return {cause: actions for cause, actions in _CAUSES.items() if cause.__module__ in names}


def provokes(*actions: str) -> Callable[[Cause], Cause]:
    """Register a cause."""

    def register(cause: Cause) -> Cause:
        _CAUSES[cause] = (*_CAUSES.get(cause, ()), *actions)
        return cause

    return register
