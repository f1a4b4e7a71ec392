"""Errors as vendors' interfaces report them: by a code in the body, by a header, with the status 200 or 403."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from http_sources import (
    Asked,
    StandIn,
    batches_of,
    ids_of,
    map_of,
    open_source,
    person,
    records_of,
    resolved,
    stand_in,
)
from vendor_rules import ROWS, VENDORS

from exporters.http.waits import DEFAULT_WAIT_SECONDS
from portability.api.errors import BadMap, SourceRefused, SourceUnavailable

JSON_HEAD = {"Content-Type": "application/json"}
SLACK = 'error = { at = "error", wait = ["ratelimited"], unavailable = ["internal_error"] }'
SALESFORCE = 'error = { at = "[0].errorCode", wait = ["REQUEST_LIMIT_EXCEEDED"] }'
GMAIL = 'error = { at = "error.errors[0].reason", wait = ["rateLimitExceeded", "userRateLimitExceeded"] }'
SHOPIFY = 'error = { at = "errors[0].extensions.code", wait = ["THROTTLED"] }'
GITHUB = 'limits = { remaining = "X-RateLimit-Remaining", reset = "X-RateLimit-Reset", reset_unit = "epoch" }'
AIRCALL = 'limits = { remaining = "X-AircallApi-Remaining", reset = "X-AircallApi-Reset", reset_unit = "epoch_ms" }'


@pytest.fixture
def vendor() -> Iterator[StandIn]:
    with stand_in() as server:
        VENDORS["gorgias"].serve(server)
        yield server


def source_map(top: str, none_on: str = "") -> str:
    """The map of a vendor's list with lines of its own; `none_on` of the look-up."""
    text = VENDORS["gorgias"].map().replace("\n[[identity]]", f"\n{top}\n[[identity]]", 1)
    return text.replace('items = "people"', f'items = "people"\n{none_on}') if none_on else text


def gmail_error(reason: str) -> dict[str, Any]:
    return {"error": {"code": 403, "errors": [{"reason": reason}]}}


WAITS: dict[str, tuple[str, tuple[int, dict[str, str], Any]]] = {
    "a code with status 200": (SLACK, (200, {"Retry-After": "0"}, {"ok": False, "error": "ratelimited"})),
    "a code of GraphQL": (
        SHOPIFY,
        (200, {"Retry-After": "0"}, {"errors": [{"extensions": {"code": "THROTTLED"}}], "data": None}),
    ),
    "a code with 403": (SALESFORCE, (403, {"Retry-After": "0"}, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}])),
    "a reason with 403": (GMAIL, (403, {"Retry-After": "0"}, gmail_error("rateLimitExceeded"))),
    "403 that says when": ("", (403, {"Retry-After": "0"}, {"message": "secondary rate limit"})),
    "403 without calls left": (GITHUB, (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, {})),
    "milliseconds": (AIRCALL, (403, {"X-AircallApi-Remaining": "0", "X-AircallApi-Reset": "1000"}, {})),
}


@pytest.mark.parametrize(("top", "answer"), WAITS.values(), ids=WAITS)
def test_a_rate_that_is_used_up_is_waited_for(vendor: StandIn, top: str, answer: Any) -> None:
    """A refusal would end the dataset, although the source answers a moment later."""
    answers = iter([answer])
    vendor.before = lambda asked: next(answers, None) if asked.path == "/api/tickets" else None

    assert len(records_of(open_source(source_map(top), vendor.url), "tickets")) == ROWS


REFUSALS: dict[str, tuple[str, tuple[int, dict[str, str], Any], type[Exception], str]] = {
    "200": (SLACK, (200, {}, {"ok": False, "error": "missing_scope"}), SourceRefused, "an error with status 200"),
    "200 that passes": (SLACK, (200, {}, {"ok": False, "error": "internal_error"}), SourceUnavailable, "passing error"),
    "403": (SALESFORCE, (403, {}, [{"errorCode": "API_DISABLED_FOR_ORG"}]), SourceRefused, "answers 403"),
    "403 of Gmail": (GMAIL, (403, {}, gmail_error("insufficientPermissions")), SourceRefused, "answers 403"),
    "403 with calls left": (GITHUB, (403, {"X-RateLimit-Remaining": "9"}, {}), SourceRefused, "answers 403"),
    "404 without calls left": (GITHUB, (404, {"X-RateLimit-Remaining": "0"}, {}), SourceRefused, "answers 404"),
    "no JSON": (SALESFORCE, (403, {}, b"<html>Ann"), SourceRefused, "answers 403"),
    "a large body": (SALESFORCE, (403, {}, b"[" * 100_000), SourceRefused, "answers 403"),
}


@pytest.mark.parametrize(("top", "answer", "error", "match"), REFUSALS.values(), ids=REFUSALS)
def test_another_refusal_is_reported_at_once(
    vendor: StandIn, top: str, answer: Any, error: type[Exception], match: str
) -> None:
    """A missing right is not a rate: nothing waits for it."""
    vendor.on("/api/tickets")(lambda _asked: answer)
    begun = time.monotonic()

    with pytest.raises(error, match=match):
        records_of(open_source(source_map(top), vendor.url), "tickets")
    assert time.monotonic() - begun < DEFAULT_WAIT_SECONDS


NOT_FOUND = (200, JSON_HEAD, {"ok": False, "error": "users_not_found"})


@pytest.mark.parametrize("status", [200, 404])
def test_a_code_may_mean_that_there_is_no_one(vendor: StandIn, status: int) -> None:
    """Slack answers 200 for a person whom it does not have. Another code is still a refusal."""
    text = source_map(SLACK, 'none_on = ["users_not_found"]')
    vendor.on("/person")(lambda _asked: (status, *NOT_FOUND[1:]))

    assert open_source(text, vendor.url).identities(person()) == ()
    vendor.on("/person")(lambda _asked: (status, JSON_HEAD, {"ok": False, "error": "invalid_auth"}))
    with pytest.raises(SourceRefused):
        open_source(text, vendor.url).identities(person())


def test_a_throttle_is_no_missing_item(vendor: StandIn) -> None:
    """Where 403 means that a person has no records, a 403 by the rate must not count as none."""
    text = source_map(SALESFORCE).replace('items = "data"', 'items = "data"\nnone_on = [403]')
    answers = iter([(403, {"Retry-After": "0"}, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}])])
    vendor.before = lambda asked: next(answers, None) if asked.path == "/api/tickets" else None
    exporter = open_source(text, vendor.url)

    assert len(ids_of(records_of(exporter, "tickets"))) == ROWS


def test_a_code_needs_the_place_of_errors() -> None:
    with pytest.raises(BadMap, match="a code of an error needs `error` of the map"):
        map_of(source_map("", 'none_on = ["users_not_found"]'))


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (b"", "tickets: the answer has no body", ""),
        (b"\n<!doctype html><title>Ann</title>", "tickets: the answer is not JSON", "it may be a page to sign in"),
    ],
)
def test_an_answer_without_json_says_what_it_is(vendor: StandIn, body: bytes, message: str, hint: str) -> None:
    """A wrong subdomain answers with a page to sign in."""
    vendor.on("/api/tickets")(lambda _asked: (200, {}, body))

    with pytest.raises(SourceRefused) as refused:
        records_of(open_source(source_map(""), vendor.url), "tickets")
    assert str(refused.value) == message
    assert refused.value.hint.startswith(hint)


def test_a_key_may_be_a_name_without_password(vendor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe takes its key as the name."""
    monkeypatch.setenv("VENDOR_KEY", "sk_1")
    open_source(source_map(""), vendor.url, auth={"kind": "basic", "username": "env:VENDOR_KEY"}).identities(person())

    assert vendor.asked[0].heard.headers["authorization"] == "Basic c2tfMTo="


def test_a_token_may_have_another_word_before_it(vendor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zoho writes `Zoho-oauthtoken`; a token that is refused is renewed there, too."""
    monkeypatch.setenv("VENDOR_SECRET", "s")
    tokens = iter(["old", "new"])
    vendor.on("/token")(lambda _asked: {"access_token": next(tokens)})
    vendor.on("/person")(
        lambda asked: {"people": []} if asked.heard.headers["authorization"] == "Zoho-oauthtoken new" else (401, {}, {})
    )
    auth = {
        "kind": "oauth2",
        "token_url": f"{vendor.url}/token",
        "client_id": "c",
        "client_secret": "env:VENDOR_SECRET",
    }
    exporter = open_source(source_map(""), vendor.url, auth={**auth, "scheme": "Zoho-oauthtoken"})

    assert exporter.identities(person()) == ()


@pytest.mark.parametrize(
    ("form", "stated", "expected"),
    [
        ("epoch_seconds", 1453770984, "2016-01-26"),
        ("epoch_ms", "1453770984123", "2016-01-26"),
        ("rfc2822", "Thu, 26 Nov 2026 23:50:00 -0800", "2026-11-26"),
        ("epoch_seconds", "2026-11-27", "2026-11-27"),
        ("epoch_seconds", "soon", None),
    ],
)
def test_a_day_is_that_of_a_time_in_the_format_of_the_source(
    vendor: StandIn, form: str, stated: Any, expected: str | None
) -> None:
    """Of a time the type `date` is the day, also of a count of seconds."""
    vendor.on("/api/tickets")(lambda _asked: {"data": [{"id": 1, "owner": 7, "due": stated}], "meta": {}})
    text = source_map("") + f'fields.due = {{ type = "date", time = "{form}", text = "When it is due." }}\n'

    (record,) = records_of(open_source(text, vendor.url), "tickets")
    assert record["due"] == expected


FILE = """
[dataset.file]
url = "url_private"
fixed_media_type = "text/plain"
"""


@pytest.mark.parametrize(("key", "sent"), [("login_hosts", "Bearer xoxb"), ("hosts", None)])
def test_a_host_gets_the_login_only_by_the_operators_word(
    vendor: StandIn, monkeypatch: pytest.MonkeyPatch, key: str, sent: str | None
) -> None:
    """Slack's files are on another host, which wants the token. A host of the map gets none."""
    monkeypatch.setenv("VENDOR_TOKEN", "xoxb")
    with stand_in() as files:
        files.on("/f")(lambda _asked: (200, {}, b"text"))
        ticket = {"id": 1, "owner": 7, "url_private": f"{files.url}/f"}
        vendor.on("/api/tickets")(lambda _asked: {"data": [ticket], "meta": {}})
        host = f"127.0.0.1:{files.listener.port}"
        text = source_map(f'hosts = ["{host}"]' if key == "hosts" else "") + FILE
        more: dict[str, Any] = {"login_hosts": [host]} if key == "login_hosts" else {}
        exporter = open_source(text, vendor.url, auth={"kind": "bearer", "token": "env:VENDOR_TOKEN"}, **more)
        (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

        assert b"".join(batch.files[0].open(0)) == b"text"
        assert files.asked[0].heard.headers.get("authorization") == sent


def test_a_key_in_the_next_url_is_in_no_place(vendor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sources repeat all parameters of a request in the URL of the next page; places are stored."""
    monkeypatch.setenv("VENDOR_TOKEN", "k 1")
    following = f"{vendor.url}/list?api_key=k+1&page_token=600"
    tickets = [{"id": number, "owner": 7} for number in range(1, 1201)]

    def answer(asked: Asked) -> Any:
        begin = int(asked.query.get("page_token", 0))
        return {"_results": tickets[begin : begin + 600], "_pagination": {"next": None if begin else following}}

    vendor.on("/list")(answer)
    login = {"kind": "query", "name": "api_key", "value": "env:VENDOR_TOKEN"}
    exporter = open_source(VENDORS["front"].map(), vendor.url, auth=login)
    batches = batches_of(exporter, "tickets", resolved(exporter, person()))

    assert sum(len(batch.records) for batch in batches) == 1200
    assert all("api_key" not in batch.cursor for batch in batches)
    assert {asked.query["api_key"] for asked in vendor.asked} == {"k 1"}


def test_a_url_of_the_same_host_outside_the_base_says_so(vendor: StandIn) -> None:
    """The host is right, and the path is not: `hosts` would send no login there."""
    VENDORS["front"].serve(vendor)
    for path in ("/list", "/person"):
        vendor.answers[f"/v2{path}"] = vendor.answers[path]
    exporter = open_source(VENDORS["front"].map(), f"{vendor.url}/v2")

    with pytest.raises(SourceRefused) as refused:
        records_of(exporter, "tickets")
    assert "the host of base_url" in refused.value.hint


def test_an_expired_url_of_a_file_says_how_to_ask_for_it_anew(vendor: StandIn) -> None:
    """URLs of recordings end after minutes: a 403 of their host does not mean that the account lacks a right."""
    with stand_in() as files:
        files.on("/f")(lambda _asked: (403, {}, b"<Error><Code>AccessDenied</Code></Error>"))
        ticket = {"id": 1, "owner": 7, "url_private": f"{files.url}/f?X-Amz-Expires=60"}
        vendor.on("/api/tickets")(lambda _asked: {"data": [ticket], "meta": {}})
        text = source_map(f'hosts = ["127.0.0.1:{files.listener.port}"]') + FILE
        exporter = open_source(text, vendor.url)
        (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))
        blocks = batch.files[0].open(0)

        with pytest.raises(SourceRefused, match=r"^tickets/1: the source answers 403$") as refused:
            next(iter(blocks))
    assert "`url_from`" in refused.value.hint


def test_the_next_url_may_be_made_of_two_values(vendor: StandIn) -> None:
    """Confluence names the begin of its URLs apart from the next page, which is null at the end."""
    link = "_links.next && join('', [_links.base, _links.next])"
    text = VENDORS["front"].map(page=f'page = {{ kind = "link", next = "{link}" }}')
    VENDORS["front"].serve(vendor)
    pages = {"": ([{"id": 1, "owner": 7}], "/list?page_token=2"), "2": ([{"id": 2, "owner": 7}], None)}

    def answer(asked: Asked) -> Any:
        found, following = pages[asked.query.get("page_token", "")]
        return {"_results": found, "_links": {"base": f"{vendor.url}/wiki", "next": following}}

    vendor.on("/wiki/list")(answer)
    vendor.on("/wiki/person")(vendor.answers["/person"])

    assert ids_of(records_of(open_source(text, f"{vendor.url}/wiki"), "tickets")) == ["1", "2"]
