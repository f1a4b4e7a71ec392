"""Downloads through a link: cut and resumed, from a folder and from object storage, and ended at once."""

from __future__ import annotations

import base64
import hashlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import servers
from served import CONTACT, OTHER, OWNER, TENANT, Browser, Served, serving
from sqlalchemy import func, select
from wrong_clocks import set_wrong

from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import codes
from portability.requests import approvals
from portability.requests.policy import Actor
from portability.storage.s3.bucket import S3Storage
from web.pages import otp_session

MIB = 1 << 20
GB = 10**9
TIMED_OUT = 28
CUT_BYTES = (1, MIB // 2, 3 * MIB)


@pytest.fixture(scope="module", params=["file", "s3"])
def large(
    request: pytest.FixtureRequest, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with archives of some megabytes, in a folder and in object storage."""
    storage = None
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "s3":
            server: servers.S3Server = request.getfixturevalue("s3_server")
            for name, value in server.environment.items():
                patch.setenv(name, value)
            prefix = f"prefix-{secrets.token_hex(6)}"
            storage = S3Storage(server.bucket, prefix, endpoint=server.endpoint, addressing="path")
        folder = tmp_path_factory.mktemp("large")
        with serving(folder, redis_server, storage=storage, records=60_000, link_claims_max=3) as server_:
            yield server_


@pytest.fixture(scope="module")
def large_export(large: Served) -> str:
    return large.ready()


def _claim(visitor: Browser, token: str) -> str:
    answer = visitor.send(f"/d/{token}/volumes/1", page=f"/d/{token}")
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return answer.headers["location"]


def _curl(*arguments: str) -> int:
    return subprocess.run(
        ["curl", "-sSL", "--fail", *arguments], capture_output=True, timeout=60, check=False
    ).returncode


def _volume(served: Served, export_id: str) -> dict[str, object]:
    volume: dict[str, object] = served.world.view(export_id)["volumes"][0]
    return volume


def test_a_download_cut_three_times_is_resumed_by_curl(large: Served, large_export: str, tmp_path: Path) -> None:
    """Each part continues where the last one ended, with the same claim, and the whole is what was stored."""
    token = large.link(large_export).token
    with large.browser(OWNER) as visitor:
        address = f"{large.url}{_claim(visitor, token)}"
    volume = _volume(large, large_export)
    file = tmp_path / "volume.zip"
    for cut in CUT_BYTES:
        part = tmp_path / "part"
        have = file.stat().st_size if file.exists() else 0
        assert _curl("-o", str(part), "-r", f"{have}-{have + cut - 1}", address) == 0
        with file.open("ab") as whole:
            whole.write(part.read_bytes())
    assert _curl("-C", "-", "-o", str(file), address) == 0
    assert file.stat().st_size == volume["bytes"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == volume["sha256"]
    assert large.world.verify([file]).ok


@pytest.mark.system
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_gigabyte_is_resumed(kind: str, redis_server: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As above with 1 GB, each cut by the clock in the middle of the transfer."""
    storage = None
    if kind == "s3":
        server: servers.S3Server = request.getfixturevalue("s3")
        storage = S3Storage(server.bucket, "gigabyte", endpoint=server.endpoint, addressing="path")
    with serving(tmp_path / "state", redis_server, storage=storage, records=2) as served:
        export_id = served.ready()
        volume = served.grow(export_id, GB)
        link = served.link(export_id)
        with served.browser(OWNER) as visitor:
            address = f"{served.url}{_claim(visitor, link.token)}"
        file = tmp_path / "volume.zip"
        for _ in range(3):
            assert _curl("-C", "-", "-o", str(file), "--limit-rate", "100M", "--max-time", "2", address) == TIMED_OUT
        assert _curl("-C", "-", "-o", str(file), address) == 0
        with file.open("rb") as whole:
            assert hashlib.file_digest(whole, "sha256").hexdigest() == volume
        assert served.call("DELETE", f"/v1/links/{link.id}").status_code == 204
        assert _curl("-o", str(tmp_path / "again"), address) != 0


def test_the_whole_way_on_postgresql(pg_url: str, redis_server: str, tmp_path: Path) -> None:
    """Asked for, made, downloaded by a claim, listed, revoked: as on SQLite."""
    with serving(tmp_path, redis_server, database_url=pg_url) as server:
        asked = server.call("POST", "/v1/exports", json={"profile": "access", "subject": f"user:{OWNER}"})
        assert asked.status_code == 201
        server.world.advance_all()
        export_id = asked.json()["id"]
        with server.browser(OWNER) as visitor:
            claimed = visitor.send(f"/me/exports/{export_id}/volumes/1", page="/me").headers["location"]
            content = visitor.client.get(claimed).content
            assert hashlib.sha256(content).hexdigest() == _volume(server, export_id)["sha256"]
            assert visitor.send(f"/me/exports/{export_id}/revoke").status_code == 303
            assert visitor.client.get(claimed).status_code == 404
        with server.browser("olga", "officer") as visitor:
            for path in ("/staff", f"/staff/exports/{export_id}", "/staff/audit?check=1", "/staff/requests.csv"):
                assert visitor.client.get(path).status_code == 200
        assert server.call("GET", f"/v1/exports/{'a' * 24}").status_code == 404


def test_after_revocation_everything_stops(large: Served, large_export: str, tmp_path: Path) -> None:
    """Neither the page, nor a new claim, nor a claim that was resumed before."""
    link = large.link(large_export)
    with large.browser(OWNER) as visitor:
        claimed = _claim(visitor, link.token)
        assert _curl("-o", str(tmp_path / "part"), "-r", "0-99", f"{large.url}{claimed}") == 0
        assert large.call("DELETE", f"/v1/links/{link.id}").status_code == 204
        assert visitor.client.get(f"/d/{link.token}").status_code == 404
        assert visitor.send(f"/d/{link.token}/volumes/1").status_code == 404
        assert visitor.client.get(claimed).status_code == 404
    assert _curl("-C", "100", "-o", str(tmp_path / "part"), f"{large.url}{claimed}") != 0


def test_the_page_says_what_becomes_of_a_running_download(large: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's ends before its announced length, and object storage finishes its own; neither is resumed."""
    monkeypatch.setattr("web.stream.LOOK_SECONDS", 0.0)
    person = "usr_running"
    export_id = large.ready(f"user:{person}")
    large.grow(export_id, 64 * MIB)
    page = f"/me/exports/{export_id}"
    with large.browser(person) as visitor:
        claimed = visitor.send(f"{page}/volumes/1", page="/me").headers["location"]
        text = visitor.client.get(page).text
        with visitor.client.stream("GET", claimed, follow_redirects=True) as answer:
            assert answer.headers["content-length"] == str(64 * MIB)
            blocks = answer.iter_raw(MIB)
            got = len(next(blocks))
            assert visitor.send(f"{page}/revoke").status_code == 303
            if isinstance(large.world.place.storage, S3Storage):
                assert "A download that has already begun may still finish." in text
                assert got + sum(map(len, blocks)) == 64 * MIB
            else:
                assert "Downloads in progress stop too." in text
                with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
                    list(blocks)
        assert visitor.client.get(claimed, headers={"Range": f"bytes={got}-"}).status_code == 404


@pytest.mark.requirement("R42")
def test_claims_are_bounded(large: Served, large_export: str) -> None:
    """A link allows a limited number of downloads; after that it answers like an unknown link."""
    token = large.link(large_export).token
    with large.browser(OWNER) as visitor:
        claims = [_claim(visitor, token) for _ in range(3)]
        assert visitor.send(f"/d/{token}/volumes/1").status_code == 404
        assert httpx.head(f"{large.url}{claims[0]}").status_code == 200


@pytest.mark.requirement("R44")
def test_the_answer_says_what_a_download_manager_needs(large: Served, large_export: str) -> None:
    """Length, digest, ranges and a name without personal data; on object storage a fresh address of 5 minutes."""
    token = large.link(large_export).token
    volume = _volume(large, large_export)
    with large.browser(OWNER) as visitor:
        claimed = _claim(visitor, token)
        head = visitor.client.head(claimed)
        got = visitor.client.get(claimed)
    digest = base64.b64encode(bytes.fromhex(str(volume["sha256"]))).decode()
    assert head.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert int(head.headers["content-length"]) == volume["bytes"]
    assert head.headers["accept-ranges"] == "bytes"
    assert head.headers["content-disposition"].startswith(f'attachment; filename="{volume["name"]}"')
    assert OWNER not in str(head.headers)
    if isinstance(large.world.place.storage, S3Storage):
        assert got.status_code == 302
        query = httpx.URL(got.headers["location"]).params
        assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
        assert 0 < int(query["X-Amz-Expires"]) <= 300
        stored = httpx.get(got.headers["location"], headers={"Range": "bytes=5-9"})
        assert (stored.status_code, len(stored.content)) == (206, 5)
        assert "attachment" in stored.headers["content-disposition"]
    else:
        assert hashlib.sha256(got.content).hexdigest() == volume["sha256"]


def test_a_form_may_end_where_the_archive_lies(large: Served, large_export: str) -> None:
    """The landing page's policy lets its form lead to the object storage, and nowhere else."""
    with large.browser(OWNER) as visitor:
        policy = visitor.client.get(f"/d/{large.link(large_export).token}").headers["content-security-policy"]
    forms = next(part.split()[1:] for part in policy.split(";") if "form-action" in part)
    on_s3 = isinstance(large.world.place.storage, S3Storage)
    assert forms[0] == "'self'"
    assert [origin.startswith("http://") for origin in forms[1:]] == ([True] if on_s3 else [])


@pytest.mark.parametrize(
    ("asked", "status", "first", "length"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=10-19", 206, 10, 10),
        ("Bytes=10-19", 206, 10, 10),
        ("bytes=-7", 206, -7, 7),
        ("bytes=0-99999999999", 206, 0, None),
        ("bytes=5-2", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("bytes=" + ",".join(f"{first}-{first}" for first in range(0, 400, 2)), 200, 0, None),
        ("lines=0-1", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("bytes=99999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
def test_ranges_are_those_of_http(served: Served, asked: str, status: int, first: int, length: int | None) -> None:
    """RFC 9110, 14: one range is supported, an invalid one is ignored, a range behind the end is 416."""
    address, content = _whole(served)
    answer = httpx.get(address, headers={"Range": asked})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(content)}"
        return
    begin = first % len(content)
    expected = content[begin:][:length] if length else content[begin:]
    assert answer.content == expected
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(expected) - 1}/{len(content)}"


def test_conditions_of_a_request_are_kept(served: Served) -> None:
    """RFC 9110, 13: a client that wants a version that is gone gets 412 and no byte, one that has this version 304."""
    address, content = _whole(served)
    tag = httpx.head(address).headers["etag"]
    for condition, status in (
        ({"If-Match": tag}, 200),
        ({"If-Match": f'"other", {tag}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"', "Range": "bytes=0-9"}, 412),
        ({"If-Match": f"W/{tag}"}, 412),
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"other", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
    ):
        answer = httpx.get(address, headers=condition)
        assert answer.status_code == status, condition
        assert answer.content == (content if status == 200 else b"")
        assert httpx.head(address, headers=condition).status_code == status


def test_a_range_of_another_version_is_the_whole(served: Served) -> None:
    """If-Range with the tag of this volume resumes; with any other, or a date, all of it comes."""
    address, content = _whole(served)
    tag = httpx.head(address).headers["etag"]
    for if_range, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200), ("Wed, 25 Nov 2026 00:00:00 GMT", 200)):
        answer = httpx.get(address, headers={"Range": "bytes=0-9", "If-Range": if_range})
        assert answer.status_code == status
        assert answer.content == (content[:10] if status == 206 else content)


def _whole(served: Served) -> tuple[str, bytes]:
    token = served.link(served.ready()).token
    with served.browser(OWNER) as visitor:
        claimed = _claim(visitor, token)
        return f"{served.url}{claimed}", visitor.client.get(claimed).content


@pytest.mark.requirement("R42")
@pytest.mark.parametrize("looks", [50, pytest.param(500, marks=pytest.mark.system)])
def test_a_scanner_consumes_nothing(served: Served, looks: int) -> None:
    """HEAD and GET of a mail scanner, 1,000 of them, leave no claim behind; afterwards its owner downloads."""
    link = served.link(served.ready())
    with httpx.Client(base_url=served.url) as scanner:
        for _ in range(looks):
            assert scanner.head(f"/d/{link.token}").status_code == 200
            assert scanner.get(f"/d/{link.token}").status_code == 200
    claims = select(func.count()).select_from(models.link_claim).where(models.link_claim.c.link_id == link.id)
    with reading(served.world.engine) as connection:
        assert connection.execute(claims).scalar_one() == 0
    with served.browser(OWNER) as visitor:
        assert visitor.client.get(_claim(visitor, link.token)).status_code == 200


@pytest.mark.requirement("R17", "R42")
@pytest.mark.parametrize("kind", ["forged", "unknown", "revoked", "expired", "of another"])
def test_links_that_do_not_work_look_alike(served: Served, kind: str) -> None:
    """The same page and the same problem for every fault, to the byte."""
    good = served.link(served.ready(f"user:usr_{kind.replace(' ', '_')}"), ttl_seconds=600)
    token = good.token
    if kind == "forged":
        token = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
    elif kind == "unknown":
        token = "abc"
    elif kind == "of another":
        token = ".".join([*served.link(served.ready()).token.split(".")[:2], token.split(".")[2]])
    else:
        with writing(served.world.engine) as connection:
            ended = {
                "revoked": {"revoked_at": models.link.c.created_at},
                "expired": {"expires_at": models.link.c.created_at},
            }
            connection.execute(models.link.update().where(models.link.c.id == good.id).values(**ended[kind]))
    page = httpx.get(f"{served.url}/d/{token}", headers={"Accept": "text/html"})
    problem = httpx.get(f"{served.url}/d/{token}", headers={"Accept": "application/json"})
    assert (page.status_code, problem.status_code) == (404, 404)
    assert "does not work" in page.text
    document = {name: value for name, value in problem.json().items() if name != "request_id"}
    assert document == {
        "type": f"{served.url}/problems/link_invalid",
        "title": "Link invalid",
        "status": 404,
        "code": "link_invalid",
        "detail": "this link does not work",
        "hint": "ask for a new link",
    }


@pytest.mark.requirement("R15")
def test_a_login_link_is_for_its_owner(served: Served) -> None:
    """Without a login the page asks for it; another person is refused; a weak login is challenged."""
    token = served.link(served.ready()).token
    with served.browser() as visitor:
        assert "Log in to download" in visitor.client.get(f"/d/{token}").text
        assert visitor.send(f"/d/{token}/volumes/1").status_code == 401
    for stranger in ((OTHER,), ("sam", "staff"), ("olga", "officer")):
        with served.browser(*stranger) as visitor:
            assert "another account" in visitor.client.get(f"/d/{token}").text
            assert visitor.send(f"/d/{token}/volumes/1").status_code == 404
    with served.browser(OWNER, strong=False) as visitor:
        refused = visitor.send(f"/d/{token}/volumes/1")
        assert refused.status_code == 401
        assert "Confirm your identity" in refused.text


def test_a_contact_downloads_with_the_code(served: Served) -> None:
    """A wrong code is refused; the right one opens this link for this browser, and no other."""
    export_id = served.ready(f"contact:{CONTACT}", tenant=TENANT)
    link = served.link(export_id, audience="code")
    page = f"/d/{link.token}"
    with served.browser() as visitor, served.browser() as other:
        assert visitor.send(f"{page}/volumes/1").status_code == 404
        visitor.send(f"{page}/code", page=page)
        with reading(served.world.engine) as connection:
            newest = select(models.code.c.id).where(models.code.c.link_id == link.id)
            code = codes.text(connection, served.world.place.settings.keys, connection.execute(newest).scalar_one())
        assert code is not None
        wrong = f"{(int(code) + 1) % 10**8:08}"
        visitor.send(f"{page}/code/check", page=page, code=wrong)
        assert "wrong or has expired" in visitor.client.get(page).text
        assert visitor.send(f"{page}/volumes/1").status_code == 404
        visitor.send(f"{page}/code/check", page=page, code=f"{code[:4]} {code[4:]}")
        assert visitor.client.get(_claim(visitor, link.token)).status_code == 200
        assert other.send(f"{page}/volumes/1").status_code == 404


def _code(served: Served, link_id: str) -> str:
    with reading(served.world.engine) as connection:
        newest = select(models.code.c.id).where(models.code.c.link_id == link_id)
        code = codes.text(connection, served.world.place.settings.keys, connection.execute(newest).scalar_one())
    assert code is not None
    return code


def test_a_code_counts_half_an_hour_whatever_clock_confirmed_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose clock is a day ahead opens the link for a day, by its own clock: the others ask for the code."""
    link = served.link(served.ready(f"contact:{CONTACT}", tenant=TENANT), audience="code")
    page = f"/d/{link.token}"
    with served.browser() as visitor:
        visitor.send(f"{page}/code", page=page)
        with monkeypatch.context() as ahead:
            set_wrong(ahead, otp_session, days=1)
            visitor.send(f"{page}/code/check", page=page, code=_code(served, link.id))
        assert visitor.send(f"{page}/volumes/1").status_code == 404


def test_a_contact_reads_with_the_code_why_it_was_refused(served: Served) -> None:
    """The reasons and the remedies after the code, and nothing of them before it: no login is needed (R20)."""
    export_id = served.world.request(f"contact:{CONTACT}", tenant=TENANT, since="2021-01-01")
    with writing(served.world.engine) as connection:
        approvals.deny(connection, export_id, reason="We <could> not verify you.", actor=Actor("officer", "olga"))
    link = served.link(export_id, audience="code")
    page = f"/d/{link.token}"
    with served.browser() as visitor:
        before = visitor.client.get(page).text
        assert "Refused" in before
        assert "verify you" not in before
        program = visitor.client.get(page, headers={"Accept": "application/json"})
        assert (program.json()["state"], program.json()["volumes"], "verify" in program.text) == ("denied", [], False)
        visitor.send(f"{page}/code", page=page)
        visitor.send(f"{page}/code/check", page=page, code=_code(served, link.id))
        after = visitor.client.get(page).text
        assert "We &lt;could&gt; not verify you." in after
        assert "complain" in after.lower()
        assert visitor.send(f"{page}/volumes/1", page=page).status_code == 404
