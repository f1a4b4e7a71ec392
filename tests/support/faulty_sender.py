"""A proxy before our own sender that plants one error into its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
from listener import Heard, Listener, Reply, listening

DROPPED = frozenset({"content-length", "transfer-encoding", "connection", "server", "date", "content-encoding"})


@dataclass(frozen=True)
class Passed:
    """A request and its answer, which a fault changes."""

    heard: Heard
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def is_volume(self) -> bool:
        return self.heard.method == "GET" and "?claim=" in self.heard.path

    @property
    def is_receipt(self) -> bool:
        return self.heard.path.endswith("/receipt")

    def ends(self, text: str) -> bool:
        """Whether the path ends with a text."""
        return self.heard.path.partition("?")[0].endswith(text)

    def answer(self, status: int | None = None, body: bytes | None = None, **headers: str) -> Passed:
        """The same with another status, body or headers."""
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return replace(
            self,
            status=self.status if status is None else status,
            body=self.body if body is None else body,
            headers=named,
        )


Fault = Callable[[Passed], Passed]


@dataclass
class FaultySender:
    """The proxy; `ask` and `fault` may be changed while it runs."""

    server: Listener
    target: str = ""
    """Our own sender."""
    fault: Fault = lambda passed: passed
    ask: Callable[[Heard], Heard] = lambda heard: heard
    """Changes a request before it is passed on."""

    def reply(self, heard: Heard) -> Reply:
        asked = self.ask(heard)
        headers = {name: value for name, value in asked.headers.items() if name not in DROPPED}
        answer = httpx.request(
            asked.method, self.target + asked.path, headers=headers, content=asked.body, follow_redirects=False
        )
        kept = {name: value for name, value in answer.headers.items() if name not in DROPPED}
        passed = self.fault(Passed(heard, answer.status_code, kept, answer.content))
        return passed.status, passed.headers, passed.body


@contextmanager
def proxied_sender() -> Iterator[FaultySender]:
    """The proxy for the length of the block; its target is not known yet."""
    with listening() as server:
        proxy = FaultySender(server)
        server.reply = proxy.reply
        yield proxy
