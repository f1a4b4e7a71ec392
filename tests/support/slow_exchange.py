"""The program of `test_slow_recipient.py`: a sender, and a recipient whose line takes hours, under one fast clock.

`python slow_exchange.py FOLDER REDIS_URL`, under `faketime`: it prints what came of it as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from factories import MadeUpExporter, large_things
from faults import FaultProxy
from sending import announced, recorded, sender, sent, shown
from transferring import encrypted

from receiver.receive import ReceivingParty, receive

BYTES_PER_SECOND = 3000
READ_BYTES = 16_384
CUT_AFTER = 12_000_000
"""The line breaks once, after more than an hour."""


class SlowLine(httpx.HTTPTransport):
    """Leads through a proxy that can break it, and reads large answers slowly."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self._port)  # the header Host stays
        answer = super().handle_request(request)
        if int(answer.headers.get("Content-Length", 0)) > READ_BYTES:
            answer.stream = SlowStream(answer.stream)  # type: ignore[arg-type]  # a synchronous stream
        return answer


class SlowStream(httpx.SyncByteStream):
    """The content of an answer, some bytes a second."""

    def __init__(self, content: httpx.SyncByteStream) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for block in self._content:
            time.sleep(len(block) / BYTES_PER_SECOND)
            yield block

    def close(self) -> None:
        self._content.close()


def exchange(folder: Path, redis_url: str) -> dict[str, object]:
    """Send a copy of about 23 MB, and receive it; returns how long it took and what both sides have."""
    records = large_things(20_000)
    exporter = MadeUpExporter(records, batch_records=200)
    with sender(folder / "sends", redis_url, exporter) as served, recorded(served) as other:
        sent(served, other)
        encrypted(served.world)
        offer = announced(served, other)
        port = httpx.URL(served.url).port or 0
        given = {"identities": [other.identity], "audience": "localhost", "receipt_key": other.key}
        party = ReceivingParty(**given, issuer=offer["issuer"])  # type: ignore[arg-type]  # by name
        with FaultProxy(port, cut_down_after=CUT_AFTER, cuts_left=1) as line:
            began = time.time()
            client = httpx.Client(transport=SlowLine(line.port), timeout=60)
            result = receive(offer["url"], folder / "in", party, client=client)
            hours = (time.time() - began) / 3600
        pieces = [path for each in result.unpacked.folders for path in sorted(each.glob("data/calls/*.jsonl"))]
        lines = [json.loads(text) for path in pieces for text in path.read_text().splitlines()]
        digest = hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()
        same = digest == hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()
        state = shown(served, offer["transfer"])["state"]
    return {"hours": hours, "cuts": line.cuts, "equal": same, "receipted": result.receipted, "state": state}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "sends").mkdir()
    sys.stdout.write(f"{json.dumps(exchange(target, sys.argv[2]))}\n")
