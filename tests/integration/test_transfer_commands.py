"""Recipients, authorisations and transfers on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import CliRunner, Result
from factories import World
from sqlalchemy import insert, update
from transferring import EXPORTER, Provider, encrypted, providing, ready, sending_world

from cli.main import main
from portability.database import models
from portability.database.engine import now, writing
from portability.queue import VALKEY_URL_FILE
from receiver.fetch import challenge

Run = Callable[..., Result]
PERSON = ("--as", "subject:usr_1")
INCLUDE = ("--include", EXPORTER, "--json")


@pytest.fixture
def made(tmp_path: Path, redis_url: str) -> World:
    made = sending_world(tmp_path)
    (tmp_path / VALKEY_URL_FILE).write_text(redis_url)
    return made


@pytest.fixture
def run(made: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PORTABILITY_DIR", str(made.folder))
    runner = CliRunner(env={"COLUMNS": "250"})
    return lambda *arguments: runner.invoke(main, arguments, catch_exceptions=False)


@pytest.fixture
def other() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(done: Result) -> str:
    assert done.exit_code == 2, done.output
    code: str = json.loads(done.stdout)["error"]["code"]
    return code


def recipient_options(other: Provider, **changed: str) -> list[str]:
    options = {
        "name": "Other Care",
        "domain": "localhost",
        "country": "DE",
        "age-key": str(other.identity.to_public()),
        "jwks-url": f"{other.server.url}/jwks.json",
        "webhook-url": f"{other.server.url}/hook",
    }
    given = {**options, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def test_a_recipient_is_recorded_listed_and_removed(run: Run, other: Provider) -> None:
    """The secret is printed once; the embedded stack asks no second person; the list has the fingerprint."""
    added = answer(run("recipients", "add", *recipient_options(other), "--datasets", "calls,chats/messages", "--json"))
    assert added["state"] == "approved"
    assert added["webhook_secret"].startswith("whsec_")
    assert added["datasets"] == ["calls", "chats/messages"]
    listed = answer(run("recipients", "list", "--json"))
    assert [row["fingerprint"] for row in listed] == [added["fingerprint"]]
    assert "webhook_secret" not in listed[0]
    assert "Other Care" in run("recipients", "list").stdout
    assert refused(run("recipients", "add", *recipient_options(other), "--json")) == "wrong_state"
    assert refused(run("recipients", "approve", "localhost", "--json")) == "wrong_state"
    assert answer(run("recipients", "remove", "localhost", "--json")) == {"id": added["id"]}
    assert refused(run("recipients", "remove", added["id"], "--json")) == "unknown_recipient"


def test_a_second_person_approves_where_the_policy_wants_one(
    run: Run, other: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who records cannot approve; who may not record may neither."""
    monkeypatch.setenv("PORTABILITY_APPROVALS", "policy")
    added = answer(run("recipients", "add", *recipient_options(other), "--as", "officer:one", "--json"))
    assert added["state"] == "waiting"
    assert refused(run("recipients", "approve", added["id"], "--as", "officer:one", "--json")) == "not_allowed"
    assert refused(run("recipients", "approve", added["id"], "--as", "staff:sam", "--json")) == "not_allowed"
    assert answer(run("recipients", "approve", added["id"], "--as", "officer:two", "--json"))["state"] == "approved"


def test_a_recipient_proves_its_keys_and_gets_a_new_one(run: Run, made: World, other: Provider) -> None:
    """Not approved without proof; challenged again when it can answer; a statement of its key set changes its key."""
    other.answers, other.status = False, 404
    policy = ("--as", "officer:one", "--json")
    added = answer(run("recipients", "add", *recipient_options(other), *policy))
    assert (added["proven_at"], added["proof_fault"]) == (None, "not_proven")
    assert refused(run("recipients", "prove", "localhost", *policy)) == "not_proven"
    other.answers = True
    assert answer(run("recipients", "prove", "localhost", *policy))["proven_at"] is not None
    old, other.identity = other.identity, pyrage.x25519.Identity.generate()
    keys = {"replaces": str(old.to_public()), "age_key": str(other.identity.to_public())}
    given = {"audience": "localhost", "issuer": made.place.settings.iss, "recipient": added["id"]}
    (made.folder / "new.jwt").write_text(challenge.rotation(other.key, **given, **keys))
    rotate = ("recipients", "rotate", "localhost", str(made.folder / "new.jwt"), *policy)
    rotated = answer(run(*rotate))
    assert (rotated["age_key"], rotated["rotated_at"] is not None) == (keys["age_key"], True)
    assert refused(run(*rotate)) == "wrong_rotation"


def test_approval_needs_the_proof(run: Run, other: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second person approves only what has answered."""
    monkeypatch.setenv("PORTABILITY_APPROVALS", "policy")
    other.answers = False
    added = answer(run("recipients", "add", *recipient_options(other), "--as", "officer:one", "--json"))
    approve = ("recipients", "approve", added["id"], "--as", "officer:two", "--json")
    assert refused(run(*approve)) == "not_proven"
    assert answer(run("recipients", "list", "--json"))[0]["state"] == "waiting"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"age_key": "age1abc"}, "weak_key"),
        ({"age_key": "ssh-rsa AAAA"}, "weak_key"),
        ({"webhook_url": "https://169.254.169.254/latest"}, "address_refused"),
        ({"webhook_url": "https://10.0.0.1/"}, "address_refused"),
        ({"webhook_url": "http://192.168.1.1/"}, "address_refused"),
        ({"jwks_url": "file:///etc/passwd"}, "address_refused"),
        ({"country": "Germany"}, "bad_input"),
    ],
)
def test_what_cannot_be_a_recipient_is_refused(run: Run, other: Provider, changed: dict[str, str], code: str) -> None:
    """One line, exit code 2, nothing recorded."""
    assert refused(run("recipients", "add", *recipient_options(other, **changed), "--json")) == code
    assert answer(run("recipients", "list", "--json")) == []


def test_an_export_is_sent_shown_and_taken_back(run: Run, made: World, other: Provider) -> None:
    """Authorised by the person, started, offered, revoked: each step is shown, and the next step is refused."""
    recipient = answer(run("recipients", "add", *recipient_options(other), "--json"))["id"]
    export_id = ready(made)
    send = ("transfer", export_id, "--to", "localhost", *PERSON, "--json")
    assert refused(run(*send)) == "not_authorised"
    given = ("authorisations", "add", "--subject", "user:usr_1", "--to", recipient)
    consent = answer(run(*given, "--include", EXPORTER, *PERSON, "--json"))["id"]
    sent = answer(run(*send))
    assert (sent["state"], sent["recipient"]["domain"], sent["authorisation"]) == ("queued", "localhost", consent)
    encrypted(made)
    shown = answer(run("transfers", "show", sent["id"], *PERSON, "--json"))
    assert (shown["state"], [step["what"] for step in shown["timeline"]]) == ("offered", ["started", "offered"])
    assert "offered" in run("transfers", "show", sent["id"]).stdout
    assert answer(run("transfers", "revoke", sent["id"], *PERSON, "--json")) == {"id": sent["id"]}
    assert refused(run("transfers", "revoke", sent["id"], "--json")) == "wrong_state"
    assert [row["state"] for row in answer(run("transfers", "list", export_id, "--json"))] == ["revoked"]
    assert refused(run(*send)) == "not_authorised"


def test_authorisations_are_given_by_those_whose_data_it_is(run: Run, other: Provider) -> None:
    """Others need evidence, or may not at all; the end is a time with a zone; taken back is taken back."""
    answer(run("recipients", "add", *recipient_options(other), "--json"))
    given = ("authorisations", "add", "--subject", "user:usr_1", "--to", "localhost", "--include", EXPORTER, "--json")
    assert refused(run(*given)) == "reason_required"
    assert refused(run(*given, "--as", "staff:sam")) == "not_allowed"
    assert refused(run(*given, "--as", "subject:usr_2")) == "unknown_export"
    assert refused(run(*given, *PERSON, "--until", "tomorrow")) == "bad_date"
    assert refused(run(*given, *PERSON, "--until", "2030-01-01T00:00:00")) == "bad_date"
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    first = answer(run(*given, *PERSON, "--until", until))["id"]
    second = answer(run(*given, "--evidence", "ticket 17"))["id"]
    assert answer(run("authorisations", "revoke", first, *PERSON, "--json")) == {"id": first}
    assert refused(run("authorisations", "revoke", first, *PERSON, "--json")) == "unknown_authorisation"
    listed = {row["id"]: row for row in answer(run("authorisations", "list", "--json"))}
    assert [(listed[one]["stands"], listed[one]["once"]) for one in (first, second)] == [(False, False), (True, True)]
    assert listed[second]["evidence"] == "ticket 17"
    assert "usr_1" not in json.dumps(list(listed.values()))


def test_the_doctor_reports_tenants_that_require_another_region(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reports them before a transfer is requested; it also names a storage URL of another region."""

    def seen() -> Any:
        checks = json.loads(run("doctor", "--json").stdout)["checks"]
        return next(check for check in checks if check["check"] == "regions")

    assert seen()["ok"]
    monkeypatch.setenv("PORTABILITY_TENANT_REGIONS", "ten_a=eu-central-1")
    monkeypatch.setenv("PORTABILITY_STORAGE_REGION", "eu-central-1")
    assert seen()["ok"]
    monkeypatch.setenv("PORTABILITY_STORAGE_REGION", "ap-southeast-3")
    assert not seen()["ok"]
    monkeypatch.delenv("PORTABILITY_TENANT_REGIONS")
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", "s3://bucket/x?region=eu-central-1")
    assert not seen()["ok"]


def test_notices_are_shown_for_a_transfer_and_for_a_recipient(run: Run, made: World, other: Provider) -> None:
    """After the consent is withdrawn: in the transfer, in all notices, and by the recipient's domain or id."""
    recipient = other.recorded(made)
    consent = answer(run("authorisations", "add", "--subject", "user:usr_1", "--to", recipient, *INCLUDE, *PERSON))[
        "id"
    ]
    transfer_id = answer(run("transfer", ready(made), "--to", recipient, *PERSON, "--json"))["id"]
    encrypted(made)
    with writing(made.engine) as connection:
        row = {
            "transfer_id": transfer_id,
            "recipient_id": recipient,
            "jti": "12345678",
            "status": "refused",
            "volumes": 0,
        }
        connection.execute(insert(models.transfer_receipt).values(**row, receipt="a.b.c", received_at=now()))
    assert run("authorisations", "revoke", consent, *PERSON).exit_code == 0
    shown = answer(run("transfers", "show", transfer_id, *PERSON, "--json"))
    (notice,) = shown["notices"]
    assert (notice["kind"], notice["state"]) == ("withdrawn", "queued")
    assert shown["timeline"][-1]["what"] == "notice_withdrawn"
    assert notice["id"] in run("transfers", "show", transfer_id, *PERSON).stdout
    for which in ((), ("localhost",), (recipient,)):
        (row,) = answer(run("recipients", "notices", *which, "--json"))
        assert (row["id"], row["export_id"]) == (notice["id"], shown["export_id"])
    assert shown["export_id"] in run("recipients", "notices").stdout
    assert "withdrawn" in run("recipients", "notices").stdout
    by_state = {
        state: len(answer(run("recipients", "notices", "--state", state, "--json"))) for state in ("queued", "failed")
    }
    assert by_state == {"queued": 1, "failed": 0}
    assert refused(run("recipients", "notices", "unknown.example", "--json")) == "unknown_recipient"


def test_all_transfers_and_webhooks_are_listed_in_pages(run: Run, made: World, other: Provider) -> None:
    """By state, the newest first, webhooks that wait the oldest first; no content of a webhook, and no person."""
    recipient = other.recorded(made)
    sent = []
    for _ in range(3):
        answer(run("authorisations", "add", "--subject", "user:usr_1", "--to", recipient, *INCLUDE, *PERSON))
        sent.append(answer(run("transfer", ready(made), "--to", recipient, *PERSON, "--json")))
    identifiers = [one["id"] for one in sent]
    assert [row["id"] for row in answer(run("transfers", "list", "--state", "queued", "--json"))] == identifiers[::-1]
    assert answer(run("transfers", "webhooks", "--json")) == []
    encrypted(made)
    assert answer(run("transfers", "list", "--state", "queued", "--json")) == []
    assert answer(run("transfers", "list", sent[0]["export_id"], "--state", "queued", "--json")) == []
    for words, key in ((("list",), "id"), (("webhooks", "--state", "queued"), "transfer_id")):
        page = run("transfers", *words, "--limit", "2", "--json")
        cursor = page.stderr.split("--after ")[1].split()[0]
        rest = run("transfers", *words, "--limit", "2", "--after", cursor, "--json")
        assert sorted(row[key] for row in answer(page) + answer(rest)) == sorted(identifiers)
        assert rest.stderr == ""
    listed = answer(run("transfers", "webhooks", "--json"))
    waiting = answer(run("transfers", "webhooks", "--state", "queued", "--json"))
    assert [row["transfer_id"] for row in waiting] == [row["transfer_id"] for row in listed][::-1]
    assert waiting == sorted(waiting, key=lambda row: row["created_at"])
    seen = {row["transfer_id"]: row for row in listed}[identifiers[0]]
    assert (seen["export_id"], seen["recipient_id"], seen["attempts"]) == (sent[0]["export_id"], recipient, 0)
    assert set(seen) & {"sealed", "kid"} == set()
    for words in (("list",), ("webhooks",)):
        shown = run("transfers", *words).stdout
        assert sent[0]["export_id"] in shown
        assert recipient in shown
        assert "usr_1" not in shown
        assert refused(run("transfers", *words, "--after", "x", "--json")) == "bad_input"
        assert refused(run("transfers", *words, *PERSON, "--json")) == "not_allowed"


@pytest.mark.parametrize(("words", "ends_as"), [(("approve",), "queued"), (("deny", "--reason", "No."), "denied")])
def test_a_held_transfer_is_found_and_decided(
    run: Run, made: World, other: Provider, words: tuple[str, ...], ends_as: str
) -> None:
    """As docs/runbooks/DecisionsWait.md says: the age rings, the list has the export, a second person decides."""
    recipient = other.recorded(made, country="SG")
    answer(run("authorisations", "add", "--subject", "user:usr_1", "--to", recipient, *INCLUDE, *PERSON))
    transfer_id = answer(run("transfer", ready(made), "--to", recipient, *PERSON, "--json"))["id"]
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(created_at=now(-2 * 86_400)))
    age = next(line for line in run("metrics").stdout.splitlines() if 'decision_age_seconds{about="transfer"}' in line)
    assert 172_800 <= float(age.split()[1]) < 180_000
    (held,) = answer(run("transfers", "list", "--state", "held", "--json"))
    assert held["id"] == transfer_id
    done = run(words[0], held["export_id"], *words[1:], "--as", "officer:olga")
    assert done.exit_code == 0, done.output
    assert answer(run("transfers", "show", transfer_id, "--json"))["state"] == ends_as
