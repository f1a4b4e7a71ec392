"""A person whose every value is a mark: real processes, faulty sources, and no mark where data must never be."""

from __future__ import annotations

import base64
import re
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import issuer as issuers
import pytest
import redis
import servers
from factories import whole_register
from http_sources import stand_in
from listener import listening
from marked import ADDRESSES, DENIED, FAILED, MARK, READY, fill_book, found_in, joined, write_sources
from marked_run import MarkedRun, contents, keys_and_metadata, mail_without_recipient, redis_values, spans, watched
from migrated import migrate
from postbox import bodies, open_postbox
from served import Browser
from servers.process import free_ports
from workers import Deployment, awaited, until

from portability.database import models
from portability.database.engine import open_engine

CODE = re.compile(r"\b(\d{4})\s(\d{4})\b")


@pytest.fixture
def marked_run(
    tmp_path: Path, pg_server: servers.Postgres, redis_url: str, s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MarkedRun]:
    temporary, prefix = tmp_path / "temporary", f"archives-{secrets.token_hex(4)}"
    temporary.mkdir()
    with ExitStack() as running:
        desk, box = running.enter_context(stand_in()), running.enter_context(open_postbox())
        issuer, collector = running.enter_context(issuers.running_issuer()), running.enter_context(listening())
        for name, value in {
            "MARKED_URL": fill_book(pg_server),
            "MARKED_FILES": s3.url(f"files-{secrets.token_hex(4)}"),
            "MARKED_TOKEN": f"{MARK}-token",
            "TMPDIR": str(temporary),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }.items():
            monkeypatch.setenv(name, value)
        settings = {
            "DATABASE_URL": pg_server.url(pg_server.create_database()),
            "REDIS_URL": redis_url,
            "STORAGE_URL": s3.url(prefix),
            "SOURCES": str(write_sources(tmp_path, desk)),
            "SMTP_URL": box.url,
            "OIDC_ISSUER": issuer.url,
        }
        deployed = _deployed(tmp_path, settings)
        engine = open_engine(settings["DATABASE_URL"])
        running.callback(engine.dispose)
        client = running.enter_context(redis.Redis.from_url(redis_url, socket_timeout=None))
        made_run = MarkedRun(
            *(deployed, engine, deployed.settings["BASE_URL"], client, box, issuer, collector, temporary, prefix),
            running=running,
        )
        running.enter_context(watched(made_run))
        yield made_run
        made_run.stop()


def _deployed(folder: Path, settings: dict[str, str]) -> Deployment:
    """A deployment with its database and its keys."""
    register = whole_register(folder / "notice", "book", "desk", "vault", "portability")
    for path in register.glob("*.toml"):
        path.write_text(re.sub(r'(\[controller\]\nname = )".*"', r'\1"Tests Inc."', path.read_text("utf-8")))
    (port,) = free_ports(1)
    usual = {
        "NOTICE_DIR": str(register),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "MAIL_FROM": "data@vlint.example",
        "OIDC_CLIENT_ID": issuers.CLIENT,
        "OIDC_CLIENT_SECRET": issuers.SECRET,
        "APPROVALS": "none",
        "CLOCK_SECONDS": "0.3",
        "BACKOFF_SECONDS": "0",
        "SOURCE_SECONDS": "10",
    }
    deployed = Deployment(folder / "state", {**usual, **settings})
    deployed.folder.mkdir()
    engine = open_engine(settings["DATABASE_URL"])
    migrate(engine)
    engine.dispose()
    deployed.run("db", "upgrade")
    for purpose in ("archive", "link", "audit"):
        deployed.run("keys", "new", "--purpose", purpose)
    return deployed


def _log_in(run: MarkedRun, visitor: Browser, address: str) -> None:
    """With the code of the mail."""
    visitor.send("/login/address/send", page="/login/address", address=address)

    def code() -> str:
        mine = [mail for mail in run.box.taken if address in str(mail["To"])]
        found = [CODE.search(bodies(mail)[0]) for mail in mine]
        return "".join("".join(each.groups()) for each in found if each)

    sent = awaited(code, "the code arrives")
    answer = visitor.send("/login/address/check", page="/login/address", code=sent)
    assert answer.headers["location"] == "/me", answer.text


def _ask(visitor: Browser) -> str:
    # A database is written into a temporary file.
    answer = visitor.send("/me/exports", page="/me", profile="access", formats=["jsonl", "sqlite"])
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return answer.headers["location"].rpartition("/")[2]


def _deny(run: MarkedRun, export_id: str) -> None:
    run.issuer.person = run.issuer.claims("olga", "officer")
    with run.visitor() as officer:
        officer.client.get("/login", follow_redirects=True)
        refused = {"reason": f"{MARK} asked for daily", "basis": "excessive", "confirmed": "yes"}
        assert officer.send(f"/staff/exports/{export_id}/deny", **refused).status_code == httpx.codes.SEE_OTHER
        officer.send("/staff/search", q=READY, text=READY, subject=f"email:{READY}")


def _send_faulty_requests(run: MarkedRun, visitor: Browser) -> None:
    """What a server refuses, with a mark in each part; addresses of these pages are the visitor's own."""
    headers = {"Authorization": f"Bearer {MARK}", "User-Agent": MARK, "Referer": MARK}
    with httpx.Client(base_url=run.url, timeout=60, cookies=visitor.client.cookies) as client:
        for path in (f"/{MARK}", f"/me?{MARK}={MARK}", f"/d/{MARK}", f"/me/exports/{MARK}", f"/v1/exports/{MARK}"):
            client.get(path)
            client.get(path, headers=headers)
        refused = Browser(client).send("/me/exports", page="/me", profile=MARK, since=MARK, include=MARK, formats=MARK)
        assert refused.status_code == httpx.codes.BAD_REQUEST
        client.post("/v1/exports", content=f'{{"{MARK}": "{MARK}"', headers={"Content-Type": "application/json"})
        client.post("/login/backchannel", data={"logout_token": MARK})


def _used(run: MarkedRun) -> dict[str, str]:
    """Three people ask; one is refused, one fails, and one downloads the archive. Returns exports by address."""
    run.start("web")
    run.start("clock")
    until(lambda: _pages_are_up(run), "the pages are up")
    asked = {}
    with run.visitor() as visitor:
        for address in (DENIED, FAILED, READY):
            visitor.client.cookies.clear()
            _log_in(run, visitor, address)
            asked[address] = _ask(visitor)
        _deny(run, asked[DENIED])
        run.start("worker")
        wanted = {asked[READY]: "ready", asked[DENIED]: "denied", asked[FAILED]: "failed"}
        until(lambda: _states(run) == wanted, "the exports end")
        page = f"/me/exports/{asked[READY]}"
        begun = visitor.send(f"{page}/volumes/1", page=page)
        archive = visitor.client.get(begun.headers["location"], follow_redirects=True)
        with zipfile.ZipFile(BytesIO(archive.content)) as volume:
            assert MARK.encode() in volume.read(next(name for name in volume.namelist() if name.endswith(".jsonl")))
        _send_faulty_requests(run, visitor)
    token = run.deployed.run("metrics", "--token").stdout.strip()
    metrics = httpx.get(f"{run.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert metrics.status_code == httpx.codes.OK
    run.printed.append(metrics.text)
    for arguments in (("list",), *(("show", export_id) for export_id in asked.values()), ("messages", "list")):
        run.printed.append(run.deployed.run(*arguments, "--json").stdout)
    until(lambda: {*run.rows(models.notification.c.state)} == {("sent",)}, "every mail is sent")
    return asked


def _pages_are_up(run: MarkedRun) -> bool:
    assert [process.poll() for process in run.processes] == [None, None], run.deployed.log.read_text()
    with suppress(httpx.TransportError):
        return httpx.get(f"{run.url}/healthz").is_success
    return False


def _states(run: MarkedRun) -> dict[Any, Any]:
    return dict(run.rows(models.export.c.id, models.export.c.state))


@pytest.mark.timeout(300)
def test_no_mark_of_a_person_is_where_data_must_never_be(marked_run: MarkedRun, s3: servers.S3Server) -> None:
    """Faults of sources quote the person's data, and so do refusals, requests and secrets: nothing repeats them."""
    run = marked_run
    exports = _used(run)
    run.stop()
    places = {
        "the logs": run.deployed.log.read_bytes(),
        "command lines": joined(run.commands),
        "names of files": joined(run.names),
        "temporary files": joined([str(run.temporary), *contents(run.temporary)]),
        "commands of Redis": joined(run.redis_commands),
        "Redis": joined(redis_values(run.redis)),
        "spans": spans(run),
        "object storage": joined(keys_and_metadata(run, s3)),
        "commands and metrics": joined(run.printed),
        "addresses and headers": joined(run.answers),
        "the audit log": joined(run.rows(models.audit_event)),
        "mails": joined(map(mail_without_recipient, run.box.taken)),
    }
    ready = exports[READY]
    seen = {
        "the logs": ("source.gap", "book", "desk", "vault", "scan_blocked", ready),
        "command lines": ("cli.main", "worker", "clock", "web"),
        "names of files": (str(run.deployed.log), str(run.temporary)),
        "temporary files": (str(run.temporary),),
        "commands of Redis": ("LPUSH", ready),
        "Redis": ("rq:",),
        "spans": ("volume", "read", "desk/broken", "source_refused", ready),
        "object storage": (f"{run.archives}/{ready}/", "LastModified"),
        "commands and metrics": ("portability_source_gaps", "portability_exports_failed", ready),
        "addresses and headers": (f"/me/exports/{ready}", "content-security-policy", "response-content-disposition"),
        "the audit log": ("export.denied", "export.failed", "export.ready", ready),
        "mails": ("Message-ID: ", "Subject: ", ready),
    }
    missing = {place: [word for word in words if word.encode() not in places[place]] for place, words in seen.items()}
    assert {place: words for place, words in missing.items() if words} == {}
    assert {str(mail["To"]) for mail in run.box.taken} == {*ADDRESSES}
    assert {place: found_in(content) for place, content in places.items() if found_in(content)} == {}


@pytest.mark.parametrize("text", [MARK, MARK.upper(), f"x{MARK}", f"xx{MARK}", DENIED])
def test_the_search_finds_a_mark_in_each_form(text: str) -> None:
    """As it is, in base64 and in hexadecimal: the search of the other test can fail."""
    raw, lower = text.encode(), text.lower().encode()
    for form in (raw, lower.hex().encode(), base64.b64encode(lower)):
        assert found_in(b"begin " + form + b" end"), form
    assert found_in(b"begin of a canary") == []
