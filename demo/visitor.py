"""A visitor of the pages without a browser: logs in, reads a code, downloads through a link and resumes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from portability.errors import Timeout, VolumeFault

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.1
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
JSON_ONLY = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser's session."""

    client: httpx.Client

    def log_in(self, role: str, identifier: str, *, tenant: str = "") -> None:
        """Log in by the form of the login without password."""
        self.send("/login", "/login/development", role=role, id=identifier, tenant=tenant)

    def send(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Send a form of a page. Raises VolumeFault if it is refused."""
        shown = self.client.get(page)
        token = CSRF.search(shown.text)
        answer = self.client.post(action, data={**fields, "csrf": token[1] if token else ""})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise VolumeFault(f"the pages answered {answer.status_code} to a form")
        return answer

    def confirm(self, link: str, read_code: Callable[[], str]) -> None:
        """Request a code and enter it."""
        self.send(link, f"{link}/code")
        self.send(link, f"{link}/code/check", code=read_code())

    def download(self, link: str, folder: Path) -> list[Path]:
        """Download every volume of a link."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        listed = self.client.get(link, headers=JSON_ONLY).raise_for_status().json()["volumes"]
        return [self._volume(link, volume["number"], folder / volume["name"]) for volume in listed]

    def _volume(self, link: str, number: int, path: Path) -> Path:
        claimed = self.send(link, f"{link}/volumes/{number}").headers["location"]
        with self.client.stream("GET", claimed, follow_redirects=True) as answer, path.open("wb") as file:
            answer.raise_for_status()
            for block in answer.iter_bytes():
                file.write(block)
        return path


def wait_until_up(client: httpx.Client) -> None:
    """Wait until the pages answer. Raises Timeout."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.get("/healthz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise Timeout(f"the pages at {client.base_url} did not answer within {WAIT_SECONDS:.0f} s", hint="see web.log")
