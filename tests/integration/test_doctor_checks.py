"""What the doctor says of mail, login, keys, buckets, clocks and the receiving service."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import CliRunner
from factories import MadeUpExporter, world
from postbox import open_postbox
from received_steps import offered_here, recorded_sender
from sqlalchemy import update

from cli import checks, inbox_check, metrics
from cli.context import Context
from cli.main import main
from portability.api.errors import BadInput, BadSetting, StorageRefused, WrongClock
from portability.database import deployment, models
from portability.database.engine import now, reading, writing
from portability.errors import NoSigningKey
from portability.messages.mail import MailUnavailable
from portability.queue import NotRunning
from portability.settings import load_settings
from portability.storage.s3.bucket import S3Storage
from portability.trust import keys, metrics_tokens
from receiver.importer.faults import BadTarget


def context(folder: Path, **settings: Any) -> Context:
    return Context(lambda: load_settings(dir=folder, **settings), json=False)


@contextmanager
def provider(document: Mapping[str, object] | bytes) -> Iterator[str]:
    """An OpenID provider that has nothing but a discovery document; `{issuer}` in it is its address."""

    class ProviderHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            assert isinstance(self.server, HTTPServer)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(200 if self.path == checks.DISCOVERY else 404)
            self.end_headers()
            self.wfile.write(content.replace(b"{issuer}", f"http://127.0.0.1:{self.server.server_port}".encode()))

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), ProviderHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


WHOLE = {"issuer": "{issuer}", "authorization_endpoint": "x", "token_endpoint": "x", "jwks_uri": "x"}


def login(folder: Path, issuer: str) -> checks.Seen:
    return checks.login(context(folder, oidc_issuer=issuer, oidc_client_id="pages", oidc_client_secret="hunter2"))


def test_a_provider_that_answers_is_well(tmp_path: Path) -> None:
    """Its discovery document names it and has what a login needs."""
    with provider(WHOLE) as issuer:
        assert login(tmp_path, issuer).result == "ok"


@pytest.mark.parametrize(
    "document", [WHOLE | {"issuer": "https://other.example"}, {"issuer": "{issuer}"}, b"<html>", b"[]"]
)
def test_a_provider_that_is_another_is_found(tmp_path: Path, document: Mapping[str, object] | bytes) -> None:
    """Another issuer, a document without endpoints, a page instead of a document; its content is not repeated."""
    with provider(document) as issuer, pytest.raises(BadSetting, match="OIDC_ISSUER"):
        login(tmp_path, issuer)


def test_a_provider_that_is_away_is_found(tmp_path: Path) -> None:
    """No one could log in."""
    with pytest.raises(BadSetting, match="ConnectError"):
        login(tmp_path, "http://127.0.0.1:1")


def test_mail_is_tried(tmp_path: Path) -> None:
    """A server that accepts the login is ok; one that is down is named; a missing one is not a fault."""
    with open_postbox() as box:
        settings = {"smtp_url": box.url, "mail_from": "data@vlint.example"}
        assert checks.mail_server(context(tmp_path, **settings)).result == "ok, on this machine"
    with pytest.raises(MailUnavailable):
        checks.mail_server(context(tmp_path, **settings))
    assert "not set" in checks.mail_server(context(tmp_path)).result


@pytest.mark.parametrize(("days", "said"), [(364, "ok"), (366, "ok, but 366 days old")])
def test_an_old_key_is_reported(tmp_path: Path, days: int, said: str) -> None:
    """A key that has signed for a year is due to be followed; it still signs."""
    one = context(tmp_path)
    with writing(one.engine) as connection:
        keys.new(connection, one.settings.keys, actor="operator:test")
        made_at = datetime.now(UTC) - timedelta(days=days, hours=1)
        connection.execute(update(models.signing_key).values(created_at=made_at))

    assert checks.signing_key(one).result == said


def test_keys_for_people_are_reported_where_there_are_none(tmp_path: Path) -> None:
    """Archives can be made without; links cannot. The key of archives is a fault of its own."""
    one = context(tmp_path)

    assert checks.people_keys(one).result == "none for link"
    with pytest.raises(NoSigningKey):
        checks.signing_key(one)


def test_a_key_whose_file_is_on_another_machine_is_copied_and_not_made_anew(tmp_path: Path) -> None:
    """A new key there would be missing on the first machine; the token for the metrics says the same."""
    one = context(tmp_path)
    with writing(one.engine) as connection:
        kid = keys.new(connection, one.settings.keys, purpose="link", actor="operator:test")
    (one.settings.keys / f"{kid}.pem").unlink()

    copied = "copy the folder PORTABILITY_KEYS_DIR to every machine that signs"
    with pytest.raises(NoSigningKey, match=f"{kid}: FileNotFoundError .needed for signing") as caught:
        checks.people_keys(one)
    assert caught.value.hint == f"{copied}; if it is lost, see docs/operate.md#lost-keys"
    with reading(one.engine) as connection:
        assert not metrics_tokens.present(connection, one.settings.keys)
    with pytest.raises(NoSigningKey) as caught:
        metrics.print_token(one)
    assert caught.value.hint == copied


def test_a_key_of_each_purpose_whose_file_is_not_usable_is_a_fault(tmp_path: Path) -> None:
    """The command ends with an error: people would meet the fault first. `keys list` says which files are here."""
    one = context(tmp_path)
    with writing(one.engine) as connection:
        kids = {
            purpose: keys.new(connection, one.settings.keys, purpose=purpose, actor="operator:test")
            for purpose in ("archive", "link", "audit", "transfer")
        }
    assert checks.people_keys(one).result == "ok"
    for purpose in ("link", "audit", "transfer"):
        pem = one.settings.keys / f"{kids[purpose]}.pem"
        whole = pem.read_bytes()
        pem.unlink()
        assert files_by_key(tmp_path) == {**dict.fromkeys(kids.values(), "ok"), kids[purpose]: "missing"}
        for content in (None, b"", (one.settings.keys / f"{kids['archive']}.pem").read_bytes()):
            if content is not None:
                pem.write_bytes(content)
                assert files_by_key(tmp_path)[kids[purpose]] == "unusable"
            with pytest.raises(NoSigningKey, match=rf"{kids[purpose]}.*needed for signing"):
                checks.people_keys(one)
        pem.write_bytes(whole)


def test_keys_that_may_not_be_read_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the files are in a folder that this account may not read is not known: to copy them is not the advice."""
    one = context(tmp_path)
    with writing(one.engine) as connection:
        kid = keys.new(connection, one.settings.keys, actor="operator:test")
    look, exists = Path.lstat, Path.exists

    def refused(path: Path) -> bool:
        if path.parent == one.settings.keys:
            raise PermissionError
        return True

    # Root, who runs the tests, reads a folder without rights.
    monkeypatch.setattr(Path, "exists", lambda path: refused(path) and exists(path))
    monkeypatch.setattr(Path, "lstat", lambda path: refused(path) and look(path))
    assert files_by_key(tmp_path) == {kid: "unusable"}


def files_by_key(folder: Path) -> Mapping[str, str]:
    """What `keys list` says of the files, by key."""
    answer = CliRunner().invoke(main, ["keys", "list", "--json"], env={"PORTABILITY_DIR": str(folder)})
    return {each["kid"]: each["file"] for each in json.loads(answer.stdout)}


def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: object) -> Context:
    for name, answer in answers.items():

        def tell(_storage: object, answer: object = answer) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(S3Storage, name, tell)
    return context(folder, storage_url="s3://archives/here?endpoint=http://127.0.0.1:1")


def test_a_bucket_that_is_open_to_everybody_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only property of a bucket that is a fault."""
    with pytest.raises(StorageRefused, match="open to the public"):
        checks.bucket_access(bucket(tmp_path, monkeypatch, is_public=True, blocks_public_access=False))


@pytest.mark.parametrize(
    ("blocked", "said"),
    [
        (True, "ok"),
        (False, "ok, but it could be opened to the public by mistake"),
        (StorageRefused("NotImplemented (501)"), "unknown: NotImplemented (501) [storage_refused]"),
    ],
)
def test_a_bucket_that_could_be_opened_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: object, said: str
) -> None:
    """Reported, but not a fault: many stores have no such protection."""
    one = bucket(tmp_path, monkeypatch, is_public=False, blocks_public_access=blocked)

    assert checks.bucket_access(one).result == said


def test_encryption_at_rest_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bucket, by the settings, or not at all."""
    one = bucket(tmp_path, monkeypatch, encryption=None)
    assert checks.bucket_encryption(one).result == "objects are not encrypted at rest"
    assert checks.bucket_encryption(bucket(tmp_path, monkeypatch, encryption="aws:kms")).result == "ok: aws:kms"
    assert "disk" in checks.bucket_encryption(context(tmp_path)).result


@pytest.mark.parametrize("ahead", [-90, 90])
def test_a_wrong_clock_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    """By a minute and more: links, tokens and leases would be wrong by that."""
    monkeypatch.setattr(deployment, "clock", lambda _engine: datetime.now(UTC) + timedelta(seconds=ahead))
    with pytest.raises(WrongClock, match="90 s apart"):
        checks.clocks(context(tmp_path))


def test_clocks_that_drift_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """Some seconds are tolerated and reported; Redis is asked too."""
    monkeypatch.setattr(deployment, "clock", lambda _engine: datetime.now(UTC) + timedelta(seconds=20))
    assert "the database" in checks.clocks(context(tmp_path, redis_url=redis_url)).result
    monkeypatch.undo()
    assert checks.clocks(context(tmp_path, redis_url=redis_url)).result == "ok"


def test_what_the_receiving_service_needs_is_reported(tmp_path: Path) -> None:
    """Age keys that can be read, a key for receipts, the platform's database, and a process that works.

    A machine without the keys reports that work waits, too: a person at night may be there.
    """
    made = world(tmp_path, {"made": MadeUpExporter([])})
    assert "not used" in inbox_check.inbox(context(tmp_path)).result
    key = tmp_path / "age.txt"
    one = context(tmp_path, inbox_identity=key, inbox_into=f"sqlite:///{tmp_path / 'platform.db'}")
    with pytest.raises(BadInput, match=r"age\.txt"):
        inbox_check.inbox(one)
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        connection.execute("CREATE TABLE users (id TEXT)")
    with pytest.raises(BadTarget):
        inbox_check.inbox(one)
    (tmp_path / "platform.db").unlink()
    assert inbox_check.inbox(one).hint.startswith("`portability keys new --purpose receipt`")
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, purposes=("receipt", "link"), actor="operator:test")
    assert inbox_check.inbox(one).result == "ok"
    (pem,) = made.place.settings.keys.glob("receipt-*.pem")
    pem.rename(tmp_path / "elsewhere.pem")
    keys.forget_files()
    with pytest.raises(NoSigningKey, match=pem.stem) as caught:
        inbox_check.inbox(one)
    assert caught.value.hint == "copy the folder PORTABILITY_KEYS_DIR to every machine that signs"
    (tmp_path / "elsewhere.pem").rename(pem)
    offered_here(made, recorded_sender(made))
    with writing(made.engine) as connection:
        connection.execute(update(models.received_transfer).values(not_before=now(-960)))
    for machine in (one, context(tmp_path)):
        with pytest.raises(NotRunning, match="16 minutes"):
            inbox_check.inbox(machine)
