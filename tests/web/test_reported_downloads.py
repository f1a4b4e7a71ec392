"""A download is on the person's page: with its time and the device, once a day."""

from __future__ import annotations

import re

import httpx
from served import Browser, Served

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CURL = "curl/8.9"


def download(visitor: Browser, export_id: str, agent: str) -> None:
    visitor.client.headers["User-Agent"] = agent
    claimed = visitor.send(f"/me/exports/{export_id}/volumes/1", page="/me")
    assert visitor.client.get(claimed.headers["location"]).status_code == httpx.codes.OK


def lines_of_messages(visitor: Browser) -> list[str]:
    """The lines below the heading of messages."""
    _, _, below = visitor.client.get("/me").text.partition('id="messages"')
    lines = re.findall(r"<li>(.*?)</li>", below.partition("</ul>")[0], re.DOTALL)
    return [re.sub(r"<[^>]+>|\s+", " ", line).strip() for line in lines]


def test_each_device_that_downloads_is_on_the_page(served: Served) -> None:
    """Of the newest messages: a second download with the same device adds none."""
    export_id = served.ready("user:usr_reader")
    with served.browser("usr_reader") as visitor:
        for agent in (FIREFOX, FIREFOX, CURL):
            download(visitor, export_id, agent)
        shown = [line for line in lines_of_messages(visitor) if line.startswith("A copy was downloaded.")]
        assert len(shown) == 2
        assert sum("Firefox · Linux" in line for line in shown) == 1


def test_a_link_that_support_made_is_on_the_page(served: Served) -> None:
    """The person sees it; their own download makes no such line."""
    export_id = served.ready("user:usr_caller")
    with served.browser("usr_caller") as visitor:
        download(visitor, export_id, FIREFOX)
        assert "A link to a copy was made." not in " ".join(lines_of_messages(visitor)[:1])
        served.link(export_id)
        assert lines_of_messages(visitor)[0].startswith("A link to a copy was made.")
