"""One event for each download, however many requests it takes; none is lost to a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import Engine, select, update

from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import downloads, links
from portability.trust import audit
from worker.clock import purge

ACTOR = "operator:test"
TABLE = models.download


@dataclass
class Downloader:
    """A client with a claim of a volume."""

    engine: Engine
    link: Mapping[Any, Any]
    token: str
    volume: Mapping[Any, Any]

    @property
    def size(self) -> int:
        return int(self.volume["bytes"])

    def begin(self, device: str = "Firefox · Linux", **more: Any) -> str:
        with writing(self.engine) as connection:
            return downloads.begin(connection, self.link, self.volume, self.token, device=device, **more)

    def send(self, download: str, first: int, end: int, *, is_over: bool = True) -> str:
        with writing(self.engine) as connection:
            return downloads.sent(connection, download, first, end - first, is_over=is_over)

    def ask(self, first: int, end: int, device: str = "Firefox · Linux") -> str:
        """One request, from its beginning to its end."""
        return self.send(self.begin(device), first, end)

    def wait(self) -> None:
        """No request comes for longer than the window."""
        with writing(self.engine) as connection:
            idle = update(TABLE).values(seen_at=now(-downloads.WINDOW_SECONDS - 1))
            connection.execute(idle)

    def recorded(self) -> list[tuple[str, Mapping[str, Any]]]:
        with reading(self.engine) as connection:
            found = audit.events(connection, export_id=self.link["export_id"])
        actions = ("link.downloaded", "link.url_issued")
        return [(event["action"], event["detail"]) for event in found if event["action"] in actions]

    def figures(self) -> list[tuple[int, int, bool]]:
        """Bytes, requests and completion of each download that the log has."""
        return [(detail["bytes"], detail["requests"], detail["complete"]) for _, detail in self.recorded()]


@pytest.fixture
def client(made: World) -> Downloader:
    export_id, folder = made.request("user:usr_1"), made.place.settings.keys
    made.advance_all()
    with writing(made.engine) as connection:
        issued = links.issue(connection, folder, export_id, audience="login", ttl_seconds=600, actor=ACTOR)
        link = links.resolve(connection, folder, issued.token)
        token = links.claim(connection, link, 1, actor=ACTOR, claims_max=1, claim_seconds=600)
        return Downloader(made.engine, link, token, links.claimed(connection, link, 1, token))


def test_ranges_are_one_download(client: Downloader) -> None:
    """Parts in any order, also twice: the event comes with the last missing byte, and has all bytes and requests."""
    half = client.size // 2
    client.ask(half, client.size)
    client.ask(half, client.size)
    assert client.recorded() == []
    client.ask(0, half)
    ((action, detail),) = client.recorded()
    sent = client.size + client.size - half
    assert (action, detail["bytes"], detail["requests"], detail["complete"]) == ("link.downloaded", sent, 3, True)
    assert (detail["volume"], detail["revision"], detail["device"]) == (1, 1, "Firefox · Linux")


def test_eight_connections_are_one_download(client: Downloader, control_url: str) -> None:
    """They begin at once and end at once, and each byte is counted."""
    cuts = [client.size * number // 8 for number in range(9)]

    def ask(number: int) -> str:
        engine = open_engine(control_url)
        try:
            return replace(client, engine=engine).ask(cuts[number], cuts[number + 1])
        finally:
            engine.dispose()

    in_threads(8, ask)
    # Some may have ended before others began; no byte is missing and none is counted twice.
    assert client.figures() == [(client.size, 8, True)]


def test_no_event_while_another_request_goes_on(client: Downloader) -> None:
    """A connection that is still sending belongs to the same download, also if the other has sent everything."""
    slow = client.begin()
    client.ask(0, client.size)
    assert client.recorded() == []
    client.send(slow, 0, 10)
    assert client.figures() == [(client.size + 10, 2, True)]


def test_a_download_that_was_cut_ends_by_the_clock(client: Downloader) -> None:
    """After a crash its event has the bytes that were recorded meanwhile; a request that goes on is not ended."""
    download = client.begin()
    client.send(download, 0, 10, is_over=False)
    purge.purge(client.engine, 24)
    assert client.recorded() == []
    client.wait()
    purge.purge(client.engine, 24)
    assert client.figures() == [(10, 1, False)]


def test_a_download_is_resumed_after_its_event(client: Downloader) -> None:
    """The rest is another download; with it every byte is there, so the claim counts as used."""
    client.ask(0, 10)
    client.wait()
    client.ask(10, client.size)
    assert client.figures() == [(10, 1, False), (client.size - 10, 1, True)]
    with reading(client.engine) as connection:
        assert connection.scalar(select(models.link_claim.c.downloaded_at))


def test_a_download_goes_on_beside_the_next_revision(client: Downloader) -> None:
    """A volume is the same in every revision of an archive: its begin before, and its rest after, are all of it."""
    client.ask(0, 10)
    replace(client, link={**client.link, "revision": 2}).ask(10, client.size)
    assert client.figures() == [(10, 1, False), (client.size - 10, 1, True)]
    with reading(client.engine) as connection:
        assert connection.scalar(select(models.link_claim.c.downloaded_at))


def test_bytes_that_come_after_the_event_are_another_download(client: Downloader) -> None:
    """A reader who stops for ten minutes in the middle of an answer: nothing is lost, and there is no third row."""
    first = client.begin()
    client.send(first, 0, 10, is_over=False)
    client.wait()
    purge.purge(client.engine, 24)
    second = client.send(first, 10, 20, is_over=False)
    assert second != first
    assert client.send(second, 20, client.size) == second
    assert client.figures() == [(10, 1, False), (client.size - 10, 1, True)]


def test_another_device_is_another_download(client: Downloader) -> None:
    """A person can recognise that a device was not theirs; a program that is not a browser has no name."""
    client.ask(0, client.size)
    client.ask(0, client.size, device="")
    devices = [detail["device"] for _, detail in client.recorded()]
    assert devices == ["Firefox · Linux", None]


def test_repeated_downloads_are_bounded(client: Downloader) -> None:
    """Of a hundred complete downloads with one claim and device the first has an event at once, the others one."""
    for _ in range(100):
        client.ask(0, client.size)
    assert client.figures() == [(client.size, 1, True)]
    client.wait()
    purge.purge(client.engine, 24)
    assert client.figures()[1:] == [(99 * client.size, 99, True)]


def test_what_storage_serves_has_one_event_at_once(client: Downloader) -> None:
    """How much storage sends is not known here; requests that follow are the same download."""
    for _ in range(3):
        client.begin(by_storage=True)
    client.wait()
    purge.purge(client.engine, 24)
    assert [action for action, _ in client.recorded()] == ["link.url_issued"]


def test_the_person_is_told_once_of_each_device(client: Downloader) -> None:
    """When a claim is first used with a device, and not for each part, nor when it is resumed later."""
    for _ in range(2):
        client.ask(0, 10)
        client.ask(10, 20)
        client.wait()
    client.begin("Safari · iPhone")
    message = models.notification
    with reading(client.engine) as connection:
        told = connection.scalars(select(message.c.device).where(message.c.kind == "downloaded")).all()
    assert sorted(told) == ["Firefox · Linux", "Safari · iPhone"]


def test_rows_of_downloads_are_deleted(client: Downloader) -> None:
    """They say which devices a person has; a day later the log alone has the download."""
    client.ask(0, client.size)
    with writing(client.engine) as connection:
        connection.execute(update(TABLE).values(ended_at=now(-downloads.KEPT_SECONDS - 1)))
    purge.purge(client.engine, 24)
    with reading(client.engine) as connection:
        assert connection.execute(select(TABLE)).all() == []
    assert len(client.recorded()) == 1


def test_what_is_remembered_of_parts_is_bounded() -> None:
    """Touching parts are one; of too many separate parts the longest are kept."""
    assert downloads.merged([[5, 10], [0, 5], [20, 30], [25, 40]]) == [[0, 10], [20, 40]]
    separate = [[1000 * number, 1000 * number + 1 + number] for number in range(downloads.SPANS_MAX + 5)]
    assert downloads.merged(separate) == separate[5:]
