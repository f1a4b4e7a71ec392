"""A served sender of transfers, and another provider that it has recorded: for tests over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from factories import MadeUpExporter
from served import OWNER, Served, serving
from transferring import EXPORTER, Provider, encrypted, providing

from portability.database.engine import writing
from portability.safe_http import SafeHttpClient
from portability.transfers import recipient_removal, recipients
from portability.trust import keys
from worker.clock import webhook_delivery


@contextmanager
def sender(folder: Path, redis_url: str, exporter: MadeUpExporter, **more: Any) -> Iterator[Served]:
    """A server that has a key for transfers, and may ask this machine."""
    settings = {"allow_loopback": True, "exporters": {EXPORTER: exporter}, **more}
    with serving(folder, redis_url, **settings) as server:
        with writing(server.world.engine) as connection:
            keys.ensure(connection, server.world.place.settings.keys, purposes=("transfer",), actor="operator:test")
        yield server


@contextmanager
def recorded(served: Served) -> Iterator[Provider]:
    """A recipient of the server, for the length of the block."""
    with providing() as provider:
        provider.recorded(served.world)
        yield provider
        # A test may have removed it.
        with suppress(recipients.UnknownRecipient), writing(served.world.engine) as connection:
            recipient_removal.remove(connection, provider.recipient, actor="operator:test")


def sent(served: Served, other: Provider) -> tuple[str, str]:
    """A transfer that the owner has authorised and started; returns the export's id and the transfer's."""
    given = {"subject": f"user:{OWNER}", "recipient": "localhost", "datasets": [EXPORTER]}
    assert served.call("POST", "/v1/authorisations", json=given).status_code == 201
    export_id = served.ready(profile="portability")
    answer = served.call("POST", f"/v1/exports/{export_id}/transfers", json={"recipient": other.recipient})
    assert answer.status_code == 201, answer.text
    return export_id, answer.json()["id"]


def offered(served: Served, other: Provider) -> dict[str, Any]:
    """What the recipient's webhook said about such a transfer."""
    sent(served, other)
    encrypted(served.world)
    return announced(served, other)


def announced(served: Served, other: Provider) -> dict[str, Any]:
    """What the newest webhook says, once all that are due are sent."""
    while webhook_delivery.announce(served.world.engine, served.world.place.settings, SafeHttpClient(loopback=True)):
        pass
    data: dict[str, Any] = other.event(other.webhooks[-1])["data"]
    return data


def shown(served: Served, transfer_id: str) -> dict[str, Any]:
    """The transfer as the API has it."""
    answer = served.call("GET", f"/v1/transfers/{transfer_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
