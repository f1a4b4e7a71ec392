"""`http_source`: a person's records from an HTTP source with pages, compared with a loop of httpx and orjson.

The source is a process of its own. Both sides end with the same records in memory. The loop compares nothing, converts
no value, and waits for no rate.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import orjson
import servers

from bench.figures import Figure, interleaved
from bench.surroundings import surroundings
from portability.api import Exporter, Identity, Selection, SubjectKind
from portability.database import migrations
from portability.database.engine import open_engine
from portability.processes import settle
from portability.settings import load_settings
from portability.sources import PlatformSources, open_exporters
from portability.testing import sample_subject

PAGE = 100
PAGES = 100
"""10,000 records of about 400 bytes."""
PERSON = "ann@example.test"
MAP = """
title = "Help desk"
role = "controller"
kinds = ["email"]

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Requests that you sent."
provenance = "provided"
created = "created_at"
for_each = "email"
get = "/tickets"
params = { requester = "{email}", cursor = "{after}" }
items = "tickets"
verify = { "requester.email" = "email" }
page = { kind = "cursor", next = "next" }
[dataset.fields]
id = { type = "integer", text = "Identifier." }
subject = { text = "Subject." }
description = { text = "Text." }
status = { text = "State." }
priority = { text = "Priority." }
channel = { at = "via.channel", text = "Channel." }
requester = { at = "requester.email", text = "Your address." }
tags = { type = "object", text = "Tags." }
score = { type = "number", text = "Score." }
solved = { type = "boolean", text = "Whether it is solved." }
created_at = { type = "datetime", text = "When it was made." }
updated_at = { type = "datetime", text = "When it was changed." }
"""


def measure(*, long: bool) -> Figure:
    """Measure seconds of this process's processor."""
    with _source() as url, _exporter(url) as exporter:
        return interleaved(
            "http_source",
            lambda: _spent(lambda: _exported(exporter)),
            lambda: _spent(lambda: _looped(url)),
            target=1.3,
            n=15 if long else 7,
        )


def _exported(exporter: Exporter) -> int:
    identity = Identity("account", "email", PERSON, verified=True)
    subject = sample_subject(SubjectKind.EMAIL, PERSON, identity)
    batches = exporter.export(subject, exporter.datasets[0], Selection(began_at=datetime.now(UTC)))
    return sum(len(batch.records) for batch in batches)


def _looped(url: str) -> int:
    records: list[object] = []
    with httpx.Client() as client:
        params: dict[str, str] | None = {"requester": PERSON}
        while params is not None:
            page = orjson.loads(client.get(f"{url}/tickets", params=params).content)
            records += page["tickets"]
            params = {"requester": PERSON, "cursor": page["next"]} if page["next"] else None
    return len(records)


def _spent(read: Callable[[], int]) -> float:
    began = time.process_time()
    if (found := read()) != PAGE * PAGES:
        raise RuntimeError(f"{found} records instead of {PAGE * PAGES}")
    return time.process_time() - began


@contextmanager
def _exporter(url: str) -> Iterator[Exporter]:
    """Open the source as a worker does, with rates on Valkey."""
    with surroundings() as around, servers.valkey() as valkey:
        sources = around.folder / "sources.toml"
        sources.write_text(f'[desk]\nkind = "http"\nmap = "desk.toml"\nbase_url = "{url}"\nrate = "100000/s"\n')
        Path(around.folder, "desk.toml").write_text(MAP)
        database = around.postgres.url(around.postgres.create_database())
        os.environ["PORTABILITY_SOURCES"] = str(sources)
        settings = load_settings(dir=around.folder, redis_url=valkey.url, database_url=database)
        control = open_engine(database)
        migrations.upgrade(control)
        control.dispose()
        connections = PlatformSources(settings)
        exporter = open_exporters(settings, connections)["desk"]
        settle()  # like a worker before its first job
        yield exporter
        gc.unfreeze()
        connections.close()


@contextmanager
def _source() -> Iterator[str]:
    """Start the source; returns its URL."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{ours.recv()}"
    process.terminate()
    process.join()


def _serve(ready: Connection) -> None:
    pages = [orjson.dumps(_page(number)) for number in range(PAGES)]

    class PagesHandler(BaseHTTPRequestHandler):
        """Answers each cursor with its page."""

        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer

        def do_GET(self) -> None:
            body = pages[int(httpx.URL(self.path).params.get("cursor") or 0)]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), PagesHandler)
    ready.send(server.server_port)
    server.serve_forever()


def _page(number: int) -> dict[str, object]:
    tickets = [_ticket(number * PAGE + place) for place in range(PAGE)]
    return {"tickets": tickets, "next": str(number + 1) if number + 1 < PAGES else None}


def _ticket(number: int) -> dict[str, object]:
    return {
        "id": number,
        "subject": f"How do I change plan {number % 97}?",
        "description": f"I would like to have plan {number % 31}. The page says that step {number % 7} is not done.",
        "status": ("open", "pending", "solved")[number % 3],
        "priority": "normal",
        "via": {"channel": "web"},
        "requester": {"email": PERSON},
        "tags": ["plan", f"step_{number % 7}"],
        "score": number % 50 / 7,
        "solved": number % 3 > 1,
        "created_at": f"2026-01-{1 + number % 28:02}T08:{number % 60:02}:00Z",
        "updated_at": f"2026-02-{1 + number % 28:02}T08:{number % 60:02}:00Z",
        "url": f"https://desk.example/tickets/{number}.json",
    }
