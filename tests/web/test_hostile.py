"""Bad input of every kind: refused with a problem document, and nothing of it in the log."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from served import OWNER, Served
from workers import until

from portability import logs

ASK: dict[str, Any] = {"profile": "access", "subject": f"user:{OWNER}"}
CANARY = "canary@secret.example"

BODIES: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"{", 400),
    "not even UTF-8": (b'{"profile": "\xff"}', 400),
    "a key twice": (b'{"profile": "access", "profile": "switch", "subject": "user:u"}', 400),
    "a lone surrogate": (b'{"profile": "access", "subject": "user:\\ud800"}', 400),
    "not a number": (b'{"profile": NaN}', 400),
    "deep": (b"[" * 20_000, 400),
    "deep and closed": (b'{"profile": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
    "an array": (b"[]", 422),
    "nothing in it": (b"{}", 422),
    "an unknown field": (json.dumps(ASK | {"is_admin": True}).encode(), 422),
    "a wrong type": (json.dumps(ASK | {"require_complete": "yes"}).encode(), 422),
    "a control character": (json.dumps(ASK | {"reason": "a\x00b"}).encode(), 422),
    "a very long field": (json.dumps(ASK | {"reason": "x" * 2000}).encode(), 422),
    "a path in an id": (json.dumps(ASK | {"subject": "user:../../etc/passwd"}).encode(), 400),
    "an id with SQL": (json.dumps(ASK | {"subject": "user:'OR'1'='1"}).encode(), 400),
    "a header in an id": (json.dumps(ASK | {"subject": "user:a\r\nSet-Cookie:x=y"}).encode(), 422),
    "an address for an id": (json.dumps(ASK | {"subject": f"user:{CANARY}"}).encode(), 400),
    "a date that does not exist": (json.dumps(ASK | {"since": "2026-02-30"}).encode(), 400),
    "a date before time": (json.dumps(ASK | {"since": "0000-00-00"}).encode(), 400),
    "a date of no calendar": (json.dumps(ASK | {"until": "99999-01-01"}).encode(), 400),
    "a time without its zone": (json.dumps(ASK | {"since": "2026-01-01T00:00:00"}).encode(), 400),
    "a receipt in the future": (json.dumps(ASK | {"received_at": "2999-01-01"}).encode(), 400),
    "an empty period": (json.dumps(ASK | {"since": "2026-02-01", "until": "2026-01-01"}).encode(), 400),
    "an unknown exporter": (json.dumps(ASK | {"include": ["../secrets"]}).encode(), 400),
    "an unknown profile": (json.dumps(ASK | {"profile": CANARY}).encode(), 400),
}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Everything that is logged, as the processes log it."""
    file = tmp_path_factory.mktemp("log") / "log"
    root = logging.getLogger()
    before, usual = list(root.handlers), structlog.get_config()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    logs.configure()
    # A cached logger would keep this configuration beyond the tests of this module.
    structlog.configure(cache_logger_on_first_use=False)
    # In this mode a closed handler does not open the file again for a thread of the server that still logs.
    handler = logging.FileHandler(file, mode="w")
    handler.setFormatter(root.handlers[0].formatter)
    root.addHandler(handler)
    yield file
    structlog.configure(**usual)  # the library's defaults take seconds for a traceback
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = before
    handler.close()


def _check_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].endswith(f"/problems/{problem['code']}")


@pytest.mark.parametrize("fault", BODIES)
def test_a_bad_body_is_a_problem(served: Served, logged: Path, fault: str) -> None:
    """4xx with a problem document; no 5xx, and the log has no word of it."""
    body, status = BODIES[fault]
    headers = {"Content-Type": "application/json"}
    _check_problem(served.call("POST", "/v1/exports", content=body, headers=headers), status)
    assert CANARY not in logged.read_text()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_another_content_type_is_refused(served: Served, kind: str) -> None:
    """JSON is JSON by its content type: what a foreign form can send is refused."""
    answer = served.call("POST", "/v1/exports", content=json.dumps(ASK).encode(), headers={"Content-Type": kind})
    _check_problem(answer, 415)


def test_more_than_64_kib_is_refused(served: Served) -> None:
    """With a length and without one, on the API and on pages."""
    _check_problem(served.call("POST", "/v1/exports", json=ASK | {"reason": "x" * 70_000}), 413)
    chunks = (b" " * 8192 for _ in range(16))
    answer = served.call("POST", "/v1/exports", content=chunks, headers={"Content-Type": "application/json"})
    _check_problem(answer, 413)
    with served.browser(OWNER) as visitor:
        assert visitor.client.post("/me/exports", data={"since": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v1/exports/..%2f..%2fetc%2fpasswd",
        "/v1/exports/%00",
        "/v1/exports/' OR 1=1",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/d/..%2f..%2fme",
        "/d/%00%ff",
    ],
)
def test_tricks_in_a_path_lead_nowhere(served: Served, path: str) -> None:
    """404 for all of them."""
    assert served.call("GET", path).status_code == 404


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/exports"), ("DELETE", "/me"), ("POST", "/healthz")])
def test_another_method_is_a_problem_too(served: Served, method: str, path: str) -> None:
    """405 with what is allowed, in the form that the caller reads."""
    answer = httpx.request(method, f"{served.url}{path}", headers={"Accept": "application/json"})
    _check_problem(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/exports", "GET, HEAD, OPTIONS, POST"),
        ("/v1/links/lnk_00000000000000000000", "DELETE, OPTIONS"),
        ("/me/exports", "OPTIONS, POST"),
        ("/d/x", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/login/callback", "GET, OPTIONS"),
    ],
)
def test_what_an_address_can_do(served: Served, path: str, methods: str) -> None:
    """OPTIONS lists the methods of all routes of an address, and changes nothing (RFC 9110, 9.3.7); so does 405."""
    asked = httpx.options(f"{served.url}{path}")
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, methods, b"")
    assert httpx.request("PATCH", f"{served.url}{path}").headers["allow"] == methods
    assert httpx.options(f"{served.url}/nothing").status_code == 404


@pytest.mark.parametrize(
    "after",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/me/../..//evil", "/me\r\nX: y", "/logout", ""],
)
def test_no_one_is_sent_to_another_site(served: Served, after: str) -> None:
    """After a login the browser returns to a page of this site, for any address (no open redirect)."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        begun = client.get("/login", params={"next": after})
        back = client.get(httpx.get(begun.headers["location"]).headers["location"])
        assert back.headers["location"] == "/me"
        spoken = client.post("/language", data={"language": "id", "next": after, "csrf": _csrf(client)})
        assert spoken.headers["location"] in {"/me", "/"}


def _csrf(client: httpx.Client) -> str:
    from served import CSRF  # noqa: PLC0415  # one test needs it

    found = CSRF.search(client.get("/").text)
    assert found
    return found[1]


def test_a_form_of_another_site_is_refused(served: Served) -> None:
    """Without the session's token, with another session's, and where the browser says that it came from elsewhere."""
    with served.browser(OWNER) as visitor, served.browser(OWNER) as other:
        good = visitor.token()
        for token, headers in (("", {}), (other.token(), {}), (good, {"Sec-Fetch-Site": "cross-site"})):
            answer = visitor.client.post("/me/exports", data={"profile": "access", "csrf": token}, headers=headers)
            assert answer.status_code == 403
        cookie_only = visitor.client.post("/v1/exports", json=ASK)
        assert (cookie_only.status_code, cookie_only.json()["code"]) == (403, "forged_form")
        assert visitor.client.post("/v1/exports", json=ASK, headers={"X-CSRF-Token": good}).status_code == 201


@pytest.mark.requirement("R43")
def test_every_answer_has_the_headers_that_protect_it(served: Served) -> None:
    """Pages, API, errors and static files: nothing is framed, sniffed, cached, or sent to other sites."""
    for path in ("/", "/me", "/login/callback", "/v1/exports", "/d/x", "/nothing", "/static/style.css"):
        headers = httpx.get(f"{served.url}{path}").headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store" or path.startswith("/static")


def test_an_internal_fault_reveals_nothing(served: Served, logged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page for people, a problem for programs, with a number that the log has too; never what it was.

    The page is in the language that the browser asks for.
    """

    def fail(*_arguments: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("web.api.public.keys.jwks", fail)
    monkeypatch.setattr("web.pages.login.rendering.text", fail)
    monkeypatch.setattr("web.rendering.text", fail)
    for path, kind in (("/.well-known/jwks.json", "application/problem+json"), ("/", "text/html; charset=utf-8")):
        answer = httpx.get(f"{served.url}{path}", headers={"Accept": "text/html"})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-request-id"] in answer.text
        assert answer.headers["x-request-id"] in logged.read_text()
        assert CANARY not in answer.text
        assert CANARY not in logged.read_text()
    german = httpx.get(served.url, headers={"Accept": "text/html", "Accept-Language": "de-AT,en;q=0.5"}).text
    assert '<html lang="de">' in german
    assert "Auf unserer Seite ist ein Fehler aufgetreten" in german


@pytest.mark.requirement("R43")
def test_the_log_has_routes_and_no_tokens(served: Served, logged: Path) -> None:
    """Neither a token, a claim, a query nor a person's id is logged; the route and the export are.

    In the place of the id of an export, only such an id is logged: a person may write an address there.

    The line of a request is written when its answer is sent.
    """
    export_id = served.ready()
    token = served.link(export_id).token
    with served.browser(OWNER) as visitor:
        claimed = visitor.send(f"/d/{token}/volumes/1", page=f"/d/{token}").headers["location"]
        visitor.client.get(claimed)
        visitor.client.get("/me", params={"q": CANARY})
        assert visitor.client.get(f"/me/exports/{CANARY}").status_code == 404
    assert served.call("GET", f"/v1/exports/{OWNER}@mail.example").status_code == 404
    served.call("GET", f"/v1/exports/{export_id}")
    shown = ('"route": "/d/{token}/volumes/{number}"', '"route": "/me"', f'"export": "{export_id}"')
    until(lambda: all(each in logged.read_text() for each in shown), "the requests are logged")
    log = logged.read_text()
    claim = claimed.partition("claim=")[2]
    assert all(secret not in log for secret in (token, token.split(".")[2], claim, CANARY, OWNER, "Bearer"))
