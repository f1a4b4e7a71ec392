"""The SMS gateway: what is sent to it, and what each of its answers means."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from listener import listening

from portability.messages import sms
from portability.messages.sms import SmsRefused, SmsUnavailable

NUMBER, TEXT = "+493090182020", "1234 5678 is your code"


def test_a_message_is_one_post_with_a_token() -> None:
    """JSON with id, number and text; the same key at each attempt; a redirect is not followed."""
    with listening() as gateway, sms.session(f"{gateway.url}/messages?tenant=7", "secret", 5) as opened:
        gateway.reply = lambda _heard: (202, {}, b"")
        opened.send(NUMBER, TEXT, "ntf_1")
        opened.send(NUMBER, TEXT, "ntf_1")
    first, second = gateway.heard
    assert (first.method, first.path) == ("POST", "/messages?tenant=7")
    assert json.loads(first.body) == {"id": "ntf_1", "to": "+493090182020", "text": "1234 5678 is your code"}
    assert (first.headers["authorization"], first.headers["idempotency-key"]) == ("Bearer secret", "ntf_1")
    assert first.body == second.body


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, SmsRefused) for status in (400, 404, 410, 413, 422)),
        *((status, SmsUnavailable) for status in (301, 302, 401, 403, 408, 425, 429, 500, 502, 503)),
    ],
)
def test_an_answer_is_final_only_if_it_is_about_the_message(status: int, error: type[Exception]) -> None:
    """Everything else is retried; the error has the status, and no number, text or answer."""
    with listening() as gateway, sms.session(gateway.url, None, 5) as opened:
        gateway.reply = lambda _heard: (status, {"Location": gateway.url}, NUMBER.encode())
        with pytest.raises(error, match=str(status)) as raised:
            opened.send(NUMBER, TEXT, "ntf_1")
    assert NUMBER not in str(raised.value)
    assert len(gateway.heard) == 1
    assert "authorization" not in gateway.heard[0].headers


BODIES: Mapping[str, tuple[Mapping[str, str], bytes]] = {
    "not in its encoding": ({"Content-Encoding": "gzip"}, b"accepted"),
    "cut": ({"Content-Length": "900"}, b"accepted"),
}


@pytest.mark.parametrize("body", BODIES)
def test_the_body_of_an_answer_is_not_read(body: str) -> None:
    """The gateway has accepted the message: whatever follows its status, the message is not sent again."""
    with listening() as gateway, sms.session(gateway.url, None, 5) as opened:
        gateway.reply = lambda _heard: (202, *BODIES[body])
        opened.send(NUMBER, TEXT, "ntf_1")
        opened.send(NUMBER, TEXT, "ntf_2")
    assert [json.loads(heard.body)["id"] for heard in gateway.heard] == ["ntf_1", "ntf_2"]


def interim_without_end(handler: BaseHTTPRequestHandler) -> None:
    """Announce an answer again and again (RFC 9110 section 15.2)."""
    with suppress(OSError):
        while True:
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def test_a_header_without_end_ends_in_time() -> None:
    """Meanwhile no other message would be sent."""
    with listening() as gateway, sms.session(gateway.url, None, 0.2) as opened:
        gateway.raw = interim_without_end
        with pytest.raises(SmsUnavailable, match="ReadTimeout"):
            opened.send(NUMBER, TEXT, "ntf_1")


def test_a_gateway_that_is_away_is_waited_for() -> None:
    """The error names its kind only."""
    with sms.session("http://127.0.0.1:1", None, 1) as opened, pytest.raises(SmsUnavailable, match="ConnectError"):
        opened.send(NUMBER, TEXT, "ntf_1")


def test_the_stand_in_writes_a_file_for_the_owner_only(tmp_path: Path) -> None:
    """One file a message, also at a second attempt; a folder that cannot be made is an outage."""
    folder = tmp_path / "sms of mine"
    with sms.session(folder.as_uri(), None, 1) as opened:
        opened.send(NUMBER, TEXT, "ntf_1")
        opened.send(NUMBER, TEXT, "ntf_1")
    (path,) = folder.iterdir()
    assert json.loads(path.read_text()) == {"id": "ntf_1", "to": "+493090182020", "text": "1234 5678 is your code"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with sms.session((path / "below").as_uri(), None, 1) as opened, pytest.raises(SmsUnavailable, match="NotADir"):
        opened.send(NUMBER, TEXT, "ntf_1")
