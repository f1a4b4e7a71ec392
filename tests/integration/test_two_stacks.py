"""Two deployments: a person consents at the first, and the second fetches and imports. No officer acts."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import forks
import httpx
import jwt
import orjson
import pytest
from inboxes import HERE, LOOPBACK, profile
from joserfc.jwk import ECKey
from pulling import worked
from served import OWNER, Served
from sqlalchemy import create_engine, delete, select
from two_stacks import TwoStacks, two_stacks
from workers import until

from exporters.reference import schema
from portability.database import models
from portability.database.engine import reading, writing
from receiver.pulls import records
from receiver.pulls.copies import PullAccess


@pytest.fixture(scope="module")
def stacks(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoStacks]:
    with two_stacks(tmp_path_factory.mktemp("two"), redis_server) as made:
        yield made


def in_a_month() -> datetime:
    return datetime.now(UTC) + timedelta(days=30)


def fetch_of(stacks: TwoStacks, request: str, folder: Path, *, only_changes: bool = False) -> Any:
    """What a fetch answers, once workers and clock of the first deployment have done their part."""
    stacks.ready(request, only_changes=only_changes)
    return stacks.json("pull", "fetch", request, "--to", str(folder), *(["--changes"] if only_changes else []))


def officers(served: Served) -> set[str]:
    """What officers have done at a deployment."""
    log = models.audit_event.c
    with reading(served.world.engine) as connection:
        return set(connection.scalars(select(log.action).where(log.actor.like("officer:%"))).all())


def account_here(stacks: TwoStacks) -> Any:
    """The person's account at the second platform."""
    engine = create_engine(stacks.environment["PORTABILITY_INBOX_INTO"])
    with engine.connect() as connection:
        row = connection.execute(select(schema.users).where(schema.users.c.id == HERE)).mappings().one()
    engine.dispose()
    return row


def import_of(stacks: TwoStacks, folder: Path) -> Any:
    return stacks.json(*_import_into(stacks, folder))


def _import_into(stacks: TwoStacks, folder: Path) -> tuple[str, ...]:
    into = stacks.environment["PORTABILITY_INBOX_INTO"]
    files = (stacks.folder / "files").as_uri()
    return "import", str(folder), "--into", into, "--as-user", HERE, "--files", files, "--on-conflict", "take"


@pytest.mark.requirement("R46")
def test_a_person_brings_their_data_without_any_officer(stacks: TwoStacks, tmp_path: Path) -> None:
    """From the domain to the imported account, all by commands; the first deployment has the receipt."""
    stacks.records[:] = [profile(full_name="Ann Moved")]
    begun = stacks.begun("account")
    back = stacks.returned(begun["address"], "account")
    request = begun["id"]
    assert stacks.json("pull", "consent", request, "--address", back)["state"] == "allowed"
    fetch = ("pull", "fetch", request, "--to", str(tmp_path / "in"))
    assert stacks.json(*fetch, "--timeout", "0") == "copy_pending"
    worked(stacks.there)

    found = stacks.json(*fetch)

    assert (found["state"], found["allowed"], found["receipted"], found["fetched"]) == ("allowed", ["account"], True, 1)
    import_of(stacks, tmp_path / "in")
    assert account_here(stacks)["full_name"] == "Ann Moved"
    with reading(stacks.there.world.engine) as connection:
        sent = select(models.transfer.c.state).where(models.transfer.c.id == found["transfer"])
        assert connection.scalar(sent) == "delivered"
    assert (officers(stacks.there), officers(stacks.here)) == ({"recipient.added"}, set())


def test_what_the_person_removes_is_not_in_the_archive(stacks: TwoStacks, tmp_path: Path) -> None:
    """Two datasets were asked for, and one was allowed."""
    request = stacks.consented("account")
    found = fetch_of(stacks, request, tmp_path / "in")
    assert (found["asked"], found["allowed"]) == (["account", "calls"], ["account"])
    (folder,) = found["folders"]
    names = {path.name for path in (Path(folder) / "data").iterdir()}
    assert "account" in names
    assert "calls" not in names


def test_a_standing_consent_is_fetched_again(stacks: TwoStacks, tmp_path: Path) -> None:
    """Each copy has what is true then; the tokens are renewed, and one copy has one folder."""
    request = stacks.consented("account", until=in_a_month())
    stacks.records[:] = [profile(job_title="Clerk")]
    fetch_of(stacks, request, tmp_path / "one")
    stacks.records[:] = [profile(job_title="Chief")]
    _expire_soon(stacks, request)

    assert fetch_of(stacks, request, tmp_path / "two")["fetched"] == 2

    import_of(stacks, tmp_path / "two")
    assert account_here(stacks)["job_title"] == "Chief"


def test_a_standing_consent_brings_only_changes(stacks: TwoStacks, tmp_path: Path) -> None:
    """The first copy has everything, the next what has changed; a copy without a receipt is followed by everything."""
    request = stacks.consented("account", "calls", until=in_a_month())
    stacks.records[:] = [profile(job_title="Clerk")]
    first = fetch_of(stacks, request, tmp_path / "one", only_changes=True)
    assert lines_of(first) == {"account": 1, "calls": 20}
    import_of(stacks, tmp_path / "one")
    stacks.records[:] = [profile(job_title="Chief")]

    second = fetch_of(stacks, request, tmp_path / "two", only_changes=True)

    assert lines_of(second) == {"account": 1}
    import_of(stacks, tmp_path / "two")
    assert account_here(stacks)["job_title"] == "Chief"
    assert lines_of(fetch_of(stacks, request, tmp_path / "three", only_changes=True)) == {}
    lose_next(stacks, request, tmp_path / "lost")
    assert lines_of(fetch_of(stacks, request, tmp_path / "four", only_changes=True)) == {"account": 1, "calls": 20}


def test_a_disk_that_takes_no_tokens_uses_up_no_code(stacks: TwoStacks) -> None:
    """The room of the tokens is reserved before the code is sent: the same address is taken once there is room."""
    begun = stacks.begun("account")
    consent = ("pull", "consent", begun["id"], "--address", stacks.returned(begun["address"], "account"))
    in_the_way = stacks.pulls / f"{begun['id']}.json.part"
    in_the_way.mkdir()
    assert stacks.run(*consent).returncode

    in_the_way.rmdir()
    assert stacks.json(*consent)["state"] == "allowed"
    assert not in_the_way.exists()


def test_a_copy_of_changes_is_not_taken_for_a_whole_one(stacks: TwoStacks, tmp_path: Path) -> None:
    """A run with `--changes` was killed: a run without it must not bring only changes, and says so; nor the reverse."""
    request = stacks.consented("account", "calls", until=in_a_month())
    fetch_of(stacks, request, tmp_path / "one", only_changes=True)
    stacks.ready(request, only_changes=True)
    fetch = ("pull", "fetch", request, "--to")
    assert stacks.json(*fetch, str(tmp_path / "two")) == "bad_input"
    assert lines_of(stacks.json(*fetch, str(tmp_path / "two"), "--changes")) == {}

    stacks.ready(request)
    assert stacks.json(*fetch, str(tmp_path / "three"), "--changes") == "bad_input"
    assert lines_of(stacks.json(*fetch, str(tmp_path / "three"))) == {"account": 1, "calls": 20}


def test_changes_begin_again_after_a_copy_was_lost_here(stacks: TwoStacks, tmp_path: Path) -> None:
    """The folder of a confirmed copy is gone: the import refuses the next, and says how to get everything again."""
    request = stacks.consented("account", "calls", until=in_a_month())
    import_of(stacks, _fetched(stacks, request, tmp_path / "one"))
    _fetched(stacks, request, tmp_path / "gone")
    after = _fetched(stacks, request, tmp_path / "after")
    done = stacks.run(*_import_into(stacks, after))
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "feed_gap"
    assert "--changes --restart" in error["hint"]

    fetch = ("pull", "fetch", request, "--to", str(tmp_path / "all"), "--changes", "--restart")
    assert stacks.json(*fetch, "--timeout", "0") == "copy_pending"
    worked(stacks.there)
    found = stacks.json(*fetch)

    assert lines_of(found) == {"account": 1, "calls": 20}
    assert import_of(stacks, tmp_path / "all")["refused"] == 0
    assert lines_of(fetch_of(stacks, request, tmp_path / "next", only_changes=True)) == {}


def _fetched(stacks: TwoStacks, request: str, folder: Path) -> Path:
    fetch_of(stacks, request, folder, only_changes=True)
    return folder


def test_only_changes_can_begin_again(stacks: TwoStacks, tmp_path: Path) -> None:
    """A whole copy has everything."""
    request = stacks.consented("account", until=in_a_month())
    assert stacks.json("pull", "fetch", request, "--to", str(tmp_path / "in"), "--restart") == "bad_input"


def lines_of(found: Any) -> dict[str, int]:
    """How many records an archive has of each exporter."""
    counted: Counter[str] = Counter()
    for folder in found["folders"]:
        for path in (Path(folder) / "data").rglob("*.jsonl"):
            counted[path.relative_to(Path(folder) / "data").parts[0]] += len(path.read_text().splitlines())
    return {name: count for name, count in counted.items() if count}


def lose_next(stacks: TwoStacks, request: str, folder: Path) -> None:
    """A copy whose offer ends before it is fetched."""
    stacks.ready(request, only_changes=True)
    table = models.transfer
    with writing(stacks.there.world.engine) as connection:
        connection.execute(table.update().where(table.c.state == "offered").values(state="expired"))
    done = stacks.run("pull", "fetch", request, "--to", str(folder))
    assert (done.returncode, "the copy has ended" in done.stdout) == (1, True)


def test_an_interrupted_download_continues(stacks: TwoStacks, tmp_path: Path) -> None:
    """What an earlier run has received is not fetched again; each part comes with a proof of its own."""
    request, target = stacks.consented("calls"), tmp_path / "in"
    (volume,) = stacks.ready(request)["volumes"]
    with records.alone(stacks.pulls, request) as record:
        access = PullAccess(LOOPBACK, stacks.us, stacks.pulls, record)
        headers = {**access.headers("GET", volume["url"]), "Range": "bytes=0-999"}
        part = target / "volumes" / f"{volume['name']}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(httpx.get(volume["url"], headers=headers).content)
    assert part.stat().st_size == 1000

    assert stacks.json("pull", "fetch", request, "--to", str(target))["receipted"] is True

    log = models.audit_event
    newest = select(log.c.detail).where(log.c.action == "link.downloaded").order_by(log.c.id.desc()).limit(1)

    def sent() -> list[tuple[int, int, bool]]:
        """The newest download; its end is recorded when the recipient has the last byte."""
        stacks.there.app.state.place.observations.end()
        with reading(stacks.there.world.engine) as connection:
            return [(one["bytes"], one["requests"], one["complete"]) for one in connection.scalars(newest)]

    until(lambda: sent() == [(volume["bytes"], 2, True)], "its end is recorded")


def kept_copy(stacks: TwoStacks, request: str, copy: str) -> None:
    """Have a run end before it notes that the copy was fetched."""
    path = stacks.pulls / f"{request}.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "copy": copy}))


def test_a_run_that_is_killed_after_the_receipt_sends_no_other(stacks: TwoStacks, tmp_path: Path) -> None:
    """The sender had it, and this side had not noted it: the next run is done, and the sender's log has one receipt."""
    request, target = stacks.consented("account"), tmp_path / "in"
    fetch_of(stacks, request, target)
    copy = newest_copy(stacks)
    for _ in range(2):
        kept_copy(stacks, request, copy)
        receipt = target / "receipt.jwt"
        (target / "receipt.id").write_text(jwt.decode(receipt.read_text(), options={"verify_signature": False})["jti"])
        receipt.unlink()
        assert stacks.json("pull", "fetch", request, "--to", str(target))["receipted"] is True
    with reading(stacks.there.world.engine) as connection:
        table, sent = models.transfer_receipt, select(models.pull.c.transfer_id).where(models.pull.c.id == copy)
        receipts = connection.scalars(select(table.c.id).where(table.c.transfer_id == sent.scalar_subquery())).all()
    assert len(receipts) == 1
    assert not (target / "receipt.id").exists()


def gone(stacks: TwoStacks, copy: str) -> None:
    """Delete the volumes of a copy, as the clock does after its time."""
    with writing(stacks.there.world.engine) as connection:
        sent = select(models.pull.c.transfer_id).where(models.pull.c.id == copy).scalar_subquery()
        connection.execute(delete(models.transfer_copy).where(models.transfer_copy.c.transfer_id == sent))


def newest_copy(stacks: TwoStacks) -> str:
    with reading(stacks.there.world.engine) as connection:
        return str(connection.scalar(select(models.pull.c.id).order_by(models.pull.c.created_at.desc()).limit(1)))


def test_a_copy_that_the_provider_does_not_know_any_more_is_begun_anew(stacks: TwoStacks, tmp_path: Path) -> None:
    """After a failover it has lost the row of a copy under way: the next run starts another."""
    request = stacks.consented("account", until=in_a_month())
    stacks.ready(request)
    with writing(stacks.there.world.engine) as connection:
        connection.execute(delete(models.pull).where(models.pull.c.id == newest_copy(stacks)))

    assert fetch_of(stacks, request, tmp_path / "in")["fetched"] == 1


def test_a_copy_whose_volumes_are_deleted_is_over(stacks: TwoStacks, tmp_path: Path) -> None:
    """A run was killed after the receipt, and the next comes after the time of the copy: it fetches another."""
    request = stacks.consented("account", until=in_a_month())
    fetch_of(stacks, request, tmp_path / "one")
    first = newest_copy(stacks)
    kept_copy(stacks, request, first)
    gone(stacks, first)

    fetch_of(stacks, request, tmp_path / "two")

    assert newest_copy(stacks) != first


def test_a_run_that_was_killed_after_the_receipt_does_not_bring_the_old_copy_again(
    stacks: TwoStacks, tmp_path: Path
) -> None:
    """Its volumes can still be fetched for days; a new folder gets the next copy, and each counts once.

    In its own folder the run ends, and no other copy is begun.
    """
    request = stacks.consented("account", until=in_a_month())
    stacks.records[:] = [profile(job_title="Clerk")]
    fetch_of(stacks, request, tmp_path / "one")
    first = newest_copy(stacks)
    kept_copy(stacks, request, first)
    again = stacks.json("pull", "fetch", request, "--to", str(tmp_path / "one"), "--timeout", "5")
    assert again["fetched"] == 1
    assert newest_copy(stacks) == first
    kept_copy(stacks, request, first)
    stacks.records[:] = [profile(job_title="Chief")]

    assert fetch_of(stacks, request, tmp_path / "two")["fetched"] == 2

    assert newest_copy(stacks) != first
    import_of(stacks, tmp_path / "two")
    assert account_here(stacks)["job_title"] == "Chief"


def test_the_only_copy_is_fetched_again_and_counts_once(stacks: TwoStacks, tmp_path: Path) -> None:
    """A consent to one copy gives the same volumes for days."""
    request = stacks.consented("account")
    fetch_of(stacks, request, tmp_path / "one")
    for folder in ("two", "three"):
        kept_copy(stacks, request, newest_copy(stacks))
        found = stacks.json("pull", "fetch", request, "--to", str(tmp_path / folder))
        assert (found["receipted"], found["fetched"]) == (True, 1)


def test_the_only_copy_whose_volumes_are_deleted_is_named(stacks: TwoStacks, tmp_path: Path) -> None:
    """A consent to one copy brings no other: the error does not say that the command continues."""
    request = stacks.consented("account")
    fetch_of(stacks, request, tmp_path / "one")
    kept_copy(stacks, request, newest_copy(stacks))
    gone(stacks, newest_copy(stacks))

    assert stacks.json("pull", "fetch", request, "--to", str(tmp_path / "two")) == "provider_refused"


def test_one_copy_has_no_changes(stacks: TwoStacks, tmp_path: Path) -> None:
    """A consent to one copy is for everything."""
    request = stacks.consented("account")
    assert stacks.json("pull", "fetch", request, "--to", str(tmp_path / "in"), "--changes") == "provider_refused"


def _expire_soon(stacks: TwoStacks, request: str) -> None:
    """Have the access token end in a second: it is renewed before it is used."""
    path = stacks.pulls / f"{request}.json"
    kept = orjson.loads(path.read_bytes())
    kept["granted"]["expires_at"] = datetime.now(UTC).timestamp() + 1
    path.write_bytes(orjson.dumps(kept))


def test_secrets_are_for_their_owner_alone(stacks: TwoStacks) -> None:
    """Files have the mode 0600, their folder 0700; lists and answers have no secret."""
    request = stacks.consented("account", until=in_a_month())
    folder = stacks.pulls
    kept = records.load(folder, request)
    assert kept.granted is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    shown = stacks.run("pull", "list").stdout
    assert request in shown
    for secret in (kept.granted.access, kept.granted.refresh, kept.key["d"]):
        assert secret
        assert secret not in shown
        assert secret not in repr(kept)


def test_an_end_revokes_the_consent(stacks: TwoStacks, tmp_path: Path) -> None:
    """The first deployment has ended it, and nothing secret is left here."""
    request = stacks.consented("account", until=in_a_month())
    assert stacks.json("pull", "end", request)["state"] == "ended"
    with reading(stacks.there.world.engine) as connection:
        newest = select(models.authorisation).order_by(models.authorisation.c.created_at.desc()).limit(1)
        row = connection.execute(newest).mappings().one()
    assert (row["revoked_at"] is not None, row["revoked_by"]) == (True, f"recipient:{stacks.recipient}")
    assert stacks.json("pull", "fetch", request, "--to", str(tmp_path / "in")) == "provider_refused"
    left = records.load(stacks.pulls, request)
    assert (left.granted, left.key, left.state) == (None, {}, "")
    assert stacks.json("pull", "end", request)["state"] == "ended"


def test_a_withdrawn_consent_is_refused(stacks: TwoStacks, tmp_path: Path) -> None:
    """The person withdraws at the first deployment: the next fetch names the error."""
    request = stacks.consented("account")
    mine = stacks.there.call("GET", "/v1/authorisations").json()["authorisations"][0]
    assert stacks.there.call("DELETE", f"/v1/authorisations/{mine['id']}").status_code == 204
    done = stacks.run("pull", "fetch", request, "--to", str(tmp_path / "in"))
    assert (done.returncode, "invalid_token" in done.stdout) == (1, True)


def test_an_answer_belongs_to_its_request(stacks: TwoStacks) -> None:
    """Another issuer, another state, a parameter twice, a refusal: no code is exchanged; a good answer counts once."""
    begun = stacks.begun("account")
    request, back = begun["id"], stacks.returned(begun["address"], "account")

    def answered(address: str) -> Any:
        return stacks.json("pull", "consent", request, "--address", address)

    issuer = stacks.there.url
    assert f"iss={issuer.replace(':', '%3A').replace('/', '%2F')}" in back
    assert answered(back.replace("iss=http", "iss=https")) == "wrong_return"
    assert answered(back.partition("&iss=")[0]) == "wrong_return"
    assert answered(back.replace("state=", "state=x")) == "wrong_return"
    assert answered(f"{back}&code=again") == "wrong_return"
    assert answered(back)["state"] == "allowed"
    assert answered(back) == "wrong_return"
    with stacks.there.browser(OWNER) as visitor:
        opened = urlsplit(begun["address"])
        again = visitor.client.get(opened.path, params=dict(parse_qsl(opened.query)))
    assert (again.status_code, "invalid_request_uri" in again.text) == (400, True)


def test_a_person_declines_a_request(stacks: TwoStacks) -> None:
    """The command names the error of the first deployment."""
    begun = stacks.begun("account")
    back = stacks.returned(begun["address"], answer="decline")
    done = stacks.run("pull", "consent", begun["id"], "--address", back)
    assert (done.returncode, "access_denied" in done.stdout) == (1, True)


def test_the_parts_of_an_answer_can_be_given(stacks: TwoStacks) -> None:
    """`--code`, `--state` and `--iss` in place of the address; not stacks, and not none."""
    begun = stacks.begun("account")
    back = stacks.returned(begun["address"], "account")
    parts = [text for pair in back.partition("?")[2].split("&") for text in _option(*pair.split("="))]
    assert stacks.json("pull", "consent", begun["id"]) == "bad_input"
    assert stacks.json("pull", "consent", begun["id"], "--address", back, *parts) == "bad_input"
    assert stacks.json("pull", "consent", begun["id"], *parts)["state"] == "allowed"


def _option(name: str, value: str) -> tuple[str, str]:
    return f"--{name}", value.replace("%3A", ":").replace("%2F", "/")


def test_a_key_that_is_not_recorded_asks_for_nothing(stacks: TwoStacks, tmp_path: Path) -> None:
    """A stranger who names our domain has not our key set; an unknown dataset is refused, and so is a wrong request."""
    key = ECKey.generate_key("P-256", {"kid": "strange", "use": "sig"})
    (tmp_path / "key.json").write_bytes(orjson.dumps(key.as_dict(private=True)))
    assert stacks.begun("account", key=str(tmp_path / "key.json")) == "provider_refused"
    assert stacks.begun("secrets") == "provider_refused"
    assert stacks.begun("account", client_id="else.example") == "provider_refused"
    assert stacks.json("pull", "consent", "ask_00000000000000000000", "--code", "x") == "unknown_request"
    assert stacks.json("pull", "end", "../../etc/passwd") == "unknown_request"


def test_another_key_cannot_use_the_tokens(stacks: TwoStacks, tmp_path: Path) -> None:
    """Tokens are bound to the key that the pushed request has named."""
    request = stacks.consented("account")
    path = stacks.pulls / f"{request}.json"
    kept = orjson.loads(path.read_bytes())
    kept["key"] = ECKey.generate_key("P-256").as_dict(private=True)
    path.write_bytes(orjson.dumps(kept))
    done = stacks.run("pull", "fetch", request, "--to", str(tmp_path / "in"))
    assert (done.returncode, "invalid_token" in done.stdout) == (1, True)
    with writing(stacks.there.world.engine) as connection:
        log = models.audit_event.c
        newest = select(log.detail).where(log.action == "pull.refused").order_by(log.id.desc()).limit(1)
        assert connection.scalar(newest) is not None


def test_a_loopback_address_takes_the_answer(stacks: TwoStacks) -> None:
    """`begin --wait` listens where the person comes back to; other paths get 404, and the code is exchanged at once."""
    asked = ("--from", "localhost", "--url", f"{stacks.there.url}/.well-known/portability", "--dataset", "account")
    with (stacks.folder / "waiting").open("wb") as output, (stacks.folder / "notes").open("wb") as notes:
        waiting = forks.start(
            ["pull", "begin", *asked, "--redirect-uri", stacks.returns_to, "--wait", "--json"],
            {**os.environ, **stacks.environment},
            output,
            errors=notes,
        )
        until(lambda: "request_uri" in (stacks.folder / "notes").read_text(), "it prints the address")
        (address,) = re.findall(r"opens (\S+)", (stacks.folder / "notes").read_text())
        back = stacks.returned(address, "account")
        assert httpx.get(stacks.returns_to.replace("/back", "/favicon.ico")).status_code == 404
        assert httpx.get(back).text == "The answer has arrived. You can close this page.\n"
        assert waiting.wait(60) == 0
    assert json.loads((stacks.folder / "waiting").read_text())["state"] == "allowed"


def test_only_this_machine_takes_an_answer(stacks: TwoStacks) -> None:
    """`--wait` with a redirect URI elsewhere is refused before anything is asked."""
    options = ("--from", "localhost", "--dataset", "account", "--wait", "--redirect-uri", "https://b.example/back")
    assert stacks.json("pull", "begin", *options) == "bad_input"
