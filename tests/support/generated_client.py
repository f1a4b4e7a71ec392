"""The Python client that docs/api.md generates, and calls of its operations in any role."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from served import Served

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api.md"
HOST = "https://portability.example"
"""The deployment that the documentation names."""
PACKAGE = "portability_client"
COMMAND = re.compile(r"^\$ (openapi-python-client generate (?:.*\\\n)*.*)$", re.MULTILINE)
PROGRAM = re.compile(r"```python\n(from portability_client.*?)```", re.DOTALL)


def documented_program() -> str:
    """The program with the client in docs/api.md."""
    (program,) = PROGRAM.findall(API.read_text())
    return str(program)


@contextmanager
def generated(url: str, folder: Path) -> Iterator[Path]:
    """Run the documented command for a deployment; its package can be imported within the block."""
    (command,) = COMMAND.findall(API.read_text())
    words = shlex.split(command.replace("\\\n", " ").replace(HOST, url))
    target = folder / "client"
    asked = [sys.executable, "-m", "openapi_python_client", *words[1:], "--output-path", str(target)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(target))
    try:
        yield target / PACKAGE
    finally:
        sys.path.remove(str(target))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


@dataclass
class ClientCalls:
    """Calls of the client's operations, with what each was asked and answered."""

    served: Served
    package: Path
    asked: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.models")

    @property
    def operations(self) -> dict[str, str]:
        """The module of each operation."""
        found = self.package.glob("api/*/[a-z]*.py")
        return {path.stem: f"{PACKAGE}.api.{path.parent.name}.{path.stem}" for path in found}

    def ask(self, operation: str, token: str, *ids: Any, **fields: Any) -> Any:
        """Call an operation; an undocumented status is an error."""
        clients = importlib.import_module(f"{PACKAGE}.client")
        client = clients.AuthenticatedClient(self.served.url, token=token, raise_on_unexpected_status=True, timeout=30)
        with client as open_client:
            module = importlib.import_module(self.operations[operation])
            return module.sync_detailed(*ids, client=open_client, **fields)

    def succeed(self, operation: str, token: str, *ids: Any, **fields: Any) -> Any:
        """Call an operation, keep its answer, and return its content, which is typed and not a problem."""
        answer = self.ask(operation, token, *ids, **fields)
        assert 200 <= answer.status_code < 300, (operation, answer.content)
        assert not isinstance(answer.parsed, self.models.Problem), operation
        self.asked[operation], self.answers[operation] = (ids, fields), answer
        return answer.parsed

    def token(self, sub: str, *roles: str, **more: Any) -> str:
        return self.served.bearer(sub, *roles, **more)["Authorization"].removeprefix("Bearer ")
