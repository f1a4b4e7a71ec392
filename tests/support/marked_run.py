"""A deployment for people whose every value is a mark, and what can be seen of it while it runs."""

from __future__ import annotations

import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import boto3
import httpx
import redis
import servers
from issuer import Issuer
from listener import Listener
from marked import joined
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from postbox import Postbox, bodies
from served import Browser
from sqlalchemy import Engine, select
from workers import Deployment, children, command

from portability.database.engine import reading

END_OF_WATCH = b"end-of-watch"


@dataclass
class MarkedRun:
    """A deployment on servers, with an interpreter for each process, and what was seen of it while it ran."""

    deployed: Deployment
    engine: Engine
    url: str
    redis: redis.Redis
    box: Postbox
    issuer: Issuer
    collector: Listener
    temporary: Path
    archives: str
    running: ExitStack
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    commands: set[bytes] = field(default_factory=set)
    """Command lines of the processes and their children."""
    names: set[str] = field(default_factory=set)
    """Of files that they had open, and of temporary files."""
    redis_commands: list[bytes] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)
    """Addresses and headers of the pages."""
    printed: list[str] = field(default_factory=list)
    """By commands."""

    def start(self, *arguments: str) -> None:
        with self.deployed.log.open("ab") as log:
            made = subprocess.Popen(command(*arguments), env=self.deployed.environment, stdout=log, stderr=log)
        self.processes.append(made)
        self.running.callback(made.kill)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)

    @contextmanager
    def visitor(self) -> Iterator[Browser]:
        """A browser; the addresses and headers that it sees are kept."""

        def keep(answer: httpx.Response) -> None:
            self.answers += [str(answer.url), answer.headers.multi_items()]

        with httpx.Client(base_url=self.url, timeout=60, event_hooks={"response": [keep]}) as client:
            yield Browser(client)

    def rows(self, *columns: Any) -> list[tuple[Any, ...]]:
        """Of the control database."""
        with reading(self.engine) as connection:
            return [tuple(row) for row in connection.execute(select(*columns))]

    def look(self) -> None:
        """See command lines and names of files."""
        for pid in [pid for process in self.processes for pid in _family(process.pid)]:
            with suppress(OSError):
                self.commands.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                self.names.update(str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
        self.names.update(str(path) for path in self.temporary.rglob("*"))


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    with suppress(OSError):
        return [pid, *(each for child in children(pid) for each in _family(child))]
    return []


@contextmanager
def watched(run: MarkedRun) -> Iterator[None]:
    """Every command that Redis gets meanwhile, and names of files and command lines twenty times a second."""
    ended, listens = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            run.look()

    def listen() -> None:
        pool = run.redis.connection_pool
        monitor = pool.get_connection()
        monitor.send_command("MONITOR")  # type: ignore[no-untyped-call]  # of the library
        listens.set()
        while not (run.redis_commands and END_OF_WATCH in run.redis_commands[-1]):
            run.redis_commands.append(monitor.read_response(disable_decoding=True))
        monitor.disconnect()  # type: ignore[no-untyped-call]  # of the library
        pool.release(monitor)

    threads = [threading.Thread(target=target, daemon=True) for target in (look, listen)]
    for thread in threads:
        thread.start()
    assert listens.wait(60)
    try:
        yield
    finally:
        ended.set()
        run.redis.echo(END_OF_WATCH)
        for thread in threads:
            thread.join(60)


def redis_values(client: Any) -> Iterator[bytes]:
    """Every key with its value as it is stored, and as it reads where RQ has compressed it."""
    for key in client.scan_iter():
        yield key
        yield client.dump(key) or b""
        if client.type(key) == b"hash":
            for pair in client.hgetall(key).items():
                for part in pair:
                    yield part
                    with suppress(zlib.error):
                        yield zlib.decompress(part)


def keys_and_metadata(run: MarkedRun, s3: servers.S3Server) -> Iterator[object]:
    """Keys and metadata of the archives."""
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix=run.archives):
        for found in page.get("Contents", ()):
            yield found["Key"]
            yield client.head_object(Bucket=s3.bucket, Key=found["Key"])


def mail_without_recipient(mail: EmailMessage) -> bytes:
    """All headers but that of the recipient, and the texts as a person reads them."""
    headers = [f"{name}: {value}" for name, value in mail.items() if name != "To"]
    return joined([*headers, *bodies(mail)])


def spans(run: MarkedRun) -> bytes:
    """As text: names, attributes and events."""
    return joined(str(ExportTraceServiceRequest.FromString(heard.body)) for heard in run.collector.heard)


def contents(folder: Path) -> list[bytes]:
    """Of all files in a folder."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
