"""A large transfer between the real programs: encrypted, served, interrupted and resumed in little memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select
from transferring import Provider, providing
from visits import stack_with
from workers import Deployment, children, command, until

from portability.database import models
from portability.database.engine import open_engine, reading
from portability.plugins import EXPORTERS, find

MB = 1_000_000
RECORDING_SECONDS = 300
RECORDING_BYTES = 16_000 * RECORDING_SECONDS
KILLS = 3
MEMORY_MB = 200
BUFFERS_MB = 12
"""What the buffers of a connection contain at a kill is sent again, for any size of the archive: at most tcp_wmem and
tcp_rmem of Linux together; 10 MB were seen. Each volume has a connection."""


@pytest.mark.system
@pytest.mark.timeout(3600)
@pytest.mark.requirement("R46")
def test_a_large_transfer_takes_little_memory_on_both_sides(tmp_path: Path) -> None:
    """Three kills of the receiving side: hardly a byte is sent twice, and no process needs more than 200 MB."""
    size = int(os.environ.get("TRANSFER_MB", "2000")) * MB
    # A fork of a process with all modules has their memory too: here each is an interpreter of its own.
    alone = Deployment(tmp_path / "a", {"CLOCK_SECONDS": "0.3", "VOLUME_BYTES": str(size // 5)})
    with stack_with(alone) as (here, _url), providing() as other:
        export_id = exported_tenant(here, size)
        url = offered(here, other, export_id)
        view = here.json("show", export_id)
        total = sum(volume["bytes"] for volume in view["volumes"])
        # Compressed (ADR 25), the sample recordings have 58 % of their size.
        assert (view["complete"], total > 0.55 * size) == (True, True)
        peaks = [
            received_peak_mb(here, other, url, tmp_path, stop_at=total * kill // (KILLS + 1))
            for kill in range(1, KILLS + 1)
        ]
        peaks.append(received_peak_mb(here, other, url, tmp_path, stop_at=None))
        peaks += [peak_mb(process) for process in interpreters(here)]
        assert sent_bytes(here) <= total + KILLS * len(view["volumes"]) * BUFFERS_MB * MB
        assert here.json("transfers", "list", export_id)[0]["state"] == "delivered"
    assert max(peaks) < MEMORY_MB


def exported_tenant(here: Deployment, size: int) -> str:
    calls = str(size // RECORDING_BYTES)
    plan = (
        "--tenants",
        "1",
        "--users",
        "1",
        "--contacts",
        "5",
        "--calls",
        calls,
        "--recordings",
        calls,
        "--chats",
        "5",
    )
    made = here.json("seed", *plan, "--recording-seconds", str(RECORDING_SECONDS))["examples"]
    export_id = here.json("request", "--profile", "switch", "--subject", f"tenant:{made['tenant']}")["id"]
    until(lambda: here.json("show", export_id)["state"] == "ready", "the archive is made", seconds=1800)
    return str(export_id)


def offered(here: Deployment, other: Provider, export_id: str) -> str:
    """The link that the webhook brings."""
    names = ("--name", "Other", "--domain", "localhost", "--country", "DE")
    keys = ("--age-key", str(other.identity.to_public()), "--jwks-url", f"{other.server.url}/jwks.json")
    added = here.json("recipients", "add", *names, *keys, "--webhook-url", f"{other.server.url}/hook")
    other.recipient, other.secret = added["id"], added["webhook_secret"]
    engine = open_engine(f"sqlite:///{here.folder}/portability.sqlite")
    with reading(engine) as connection:
        subject = (
            f"tenant:{connection.scalar(select(models.export.c.subject_id).where(models.export.c.id == export_id))}"
        )
    engine.dispose()
    to = ("--to", other.recipient)
    everything = ",".join(find(EXPORTERS))
    here.json("authorisations", "add", "--subject", subject, *to, "--include", everything, "--evidence", "contract")
    here.json("transfer", export_id, *to)
    until(lambda: bool(other.webhooks), "the recipient is notified", seconds=1800)
    return str(other.event(other.webhooks[0])["data"]["url"])


def received_peak_mb(here: Deployment, other: Provider, url: str, folder: Path, *, stop_at: int | None) -> int:
    """Return the peak memory of a run in MB; it is killed once `stop_at` bytes are there."""
    key, receipt = folder / "key.txt", folder / "receipt.json"
    key.write_text(f"{other.identity}\n")
    receipt.write_bytes(orjson.dumps(other.key.as_dict(private=True)))
    to = folder / "in"
    names = ("--identity", str(key), "--receipt-key", str(receipt), "--audience", "localhost", "--json")
    process = subprocess.Popen(command("receive", url, "--to", str(to), *names), env=here.environment)
    peak = 0

    def over() -> bool:
        nonlocal peak
        peak = max(peak, peak_mb(process.pid))
        return process.poll() is not None or (stop_at is not None and there_bytes(to) > stop_at)

    until(over, "it has what it needs", seconds=1800)
    if stop_at is None:
        assert process.wait() == 0
    else:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    return peak


def there_bytes(folder: Path) -> int:
    """What has come, encrypted or opened already."""
    found = 0
    for path in (folder / "volumes").glob("*"):
        with suppress(FileNotFoundError):  # opened just now
            found += path.stat().st_size
    return found


def sent_bytes(here: Deployment) -> int:
    """What the sender has counted as sent, also in downloads that go on."""
    engine = open_engine(f"sqlite:///{here.folder}/portability.sqlite")
    with reading(engine) as connection:
        counted = connection.scalars(select(models.download.c.bytes)).all()
    engine.dispose()
    return sum(counted)


def interpreters(here: Deployment) -> list[int]:
    """All processes that the stack has started. Its own is a fork of the tests, and has their memory."""
    found, parents = list[int](), [process.pid for process in here.processes]
    while parents:
        parents = [child for parent in parents for child in children(parent)]
        found += parents
    return found


def peak_mb(pid: int) -> int:
    """The most memory that a process ever had; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return max(map(int, re.findall(r"VmHWM:\s+(\d+) kB", status)), default=0) // 1024
