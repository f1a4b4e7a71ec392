from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import select, update

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.delivery import downloads, links
from portability.delivery.links import Link
from portability.errors import LinkInvalid, NoSigningKey, UnknownExport, UnknownLink, WrongState
from portability.requests import instructions
from portability.requests.instructions import Delivery
from portability.requests.policy import Actor
from portability.trust import audit, keys

ACTOR = "operator:test"
DAY = 86_400


def ready(made: World, subject: str = "user:usr_1", **asked: object) -> str:
    identifier = made.request(subject, **asked)
    made.advance_all()
    return identifier


def issue(made: World, export_id: str, audience: str | None = "login", ttl_seconds: float = DAY) -> Link:
    with writing(made.engine) as connection:
        return links.issue(
            connection, made.place.settings.keys, export_id, audience=audience, ttl_seconds=ttl_seconds, actor=ACTOR
        )


def resolve(made: World, token: str) -> dict[Any, Any]:
    with reading(made.engine) as connection:
        return dict(links.resolve(connection, made.place.settings.keys, token))


def claim(made: World, row: dict[Any, Any], volume: int = 1, claims_max: int = 3, seconds: float = 60) -> str:
    with writing(made.engine) as connection:
        return links.claim(connection, row, volume, actor=ACTOR, claims_max=claims_max, claim_seconds=seconds)


def volume_of(made: World, row: dict[Any, Any], token: str, volume: int = 1) -> dict[Any, Any]:
    with reading(made.engine) as connection:
        return dict(links.claimed(connection, row, volume, token))


def test_a_link_leads_to_its_export(made: World) -> None:
    """The token resolves to the export and its subject repeatedly: resolving consumes nothing."""
    link = issue(made, ready(made))
    for _ in range(3):
        row = resolve(made, link.token)
        assert (row["id"], row["export_id"], row["audience"]) == (link.id, link.export_id, "login")
        assert (row["subject_kind"], row["subject_id"]) == ("user", "usr_1")
    assert link.url("https://export.example/") == f"https://export.example/d/{link.token}"
    with reading(made.engine) as connection:
        assert connection.execute(select(models.link_claim)).all() == []


def test_a_claim_with_a_token_is_made_once(made: World) -> None:
    """Requests for parts of a volume share the token of their claim: together they are one download."""
    row = resolve(made, issue(made, ready(made)).token)
    with writing(made.engine) as connection:
        for _ in range(5):
            given = {"actor": ACTOR, "claims_max": 3, "claim_seconds": 60, "token": "shared by all parts"}
            assert links.claim(connection, row, 1, **given) == "shared by all parts"  # type: ignore[arg-type]  # of three types
        assert len(connection.execute(select(models.link_claim)).all()) == 1
    assert volume_of(made, row, "shared by all parts")["number"] == 1


@pytest.mark.parametrize(
    ("archive_hours", "link_hours"),
    [
        pytest.param(None, 24.0, id="no archive"),
        pytest.param(48, 24.0, id="later"),
        pytest.param(2, 2.0, id="sooner"),
        pytest.param(-1, 1 / 60, id="about to be deleted"),
    ],
)
def test_a_link_ends_with_its_archive(made: World, archive_hours: float | None, link_hours: float) -> None:
    """A link for a day ends sooner if the archive does; the event of the audit log has its true length."""
    export_id = ready(made)
    until = datetime.now(UTC) + timedelta(hours=archive_hours) if archive_hours else None
    with writing(made.engine) as connection:
        keys_folder = made.place.settings.keys
        link = links.issue(connection, keys_folder, export_id, ttl_seconds=DAY, until=until, actor=ACTOR)
        detail = select(audit.LOG.c.detail).where(audit.LOG.c.action == "link.issued")
        stated = connection.execute(detail).scalar_one()
    expected, near = timedelta(hours=link_hours), timedelta(seconds=30)
    assert abs(link.expires_at - datetime.now(UTC) - expected) < near
    assert abs(timedelta(seconds=stated["ttl_seconds"]) - expected) < near


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_link_lives_by_the_clock_that_ends_it(made: World, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """A link for an hour, of a machine whose clock is wrong by hours, is good for an hour."""

    class StrayTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + timedelta(hours=hours)

    export_id = ready(made)
    with monkeypatch.context() as wrong:
        wrong.setattr(links, "datetime", StrayTime)
        link = issue(made, export_id, ttl_seconds=3_600)
    assert resolve(made, link.token)["id"] == link.id
    assert timedelta(minutes=55) < link.expires_at - datetime.now(UTC) < timedelta(minutes=65)


def test_a_token_is_nowhere(made: World) -> None:
    """Neither in the database, nor in the audit log, nor in what is printed of it."""
    link = issue(made, ready(made))
    with reading(made.engine) as connection:
        kept = [str(connection.execute(select(table)).all()) for table in (models.link, audit.LOG)]
    assert not any(part in text for text in [*kept, repr(link)] for part in link.token.split(".")[1:])


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_link_that_has_ended_leads_nowhere(made: World, column: str) -> None:
    """By the database's clock; a claim that it gave ends with it."""
    link = issue(made, ready(made))
    row = resolve(made, link.token)
    with writing(made.engine) as connection:
        connection.execute(update(models.link).values({column: row["created_at"]}))
    with pytest.raises(LinkInvalid):
        resolve(made, link.token)
    with pytest.raises(LinkInvalid):
        claim(made, row)


def test_all_faults_are_reported_alike(made: World) -> None:
    """Unknown, revoked and forged tokens get one message, one code and one hint."""
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        links.revoke(connection, link.id, actor=ACTOR)
    reports = set()
    for token in (link.token, link.token[:-1], "", "x", "a.b.c", "é", "x" * 5000):
        with pytest.raises(LinkInvalid) as raised:
            resolve(made, token)
        reports.add((str(raised.value), raised.value.code, raised.value.hint))
    assert len(reports) == 1


def test_a_signed_token_that_we_do_not_know_is_refused(made: World) -> None:
    """A stolen key alone makes no link: its hash is not in the database."""
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        connection.execute(models.link.delete())
    with pytest.raises(LinkInvalid):
        resolve(made, link.token)


def test_a_known_token_that_is_not_signed_is_refused(made: World) -> None:
    """Who can write to the database alone makes no link: the signature is checked with keys of this machine."""
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        connection.execute(update(models.link).values(token_sha256=links._sha256("planted")))
    with pytest.raises(LinkInvalid):
        resolve(made, "planted")
    with pytest.raises(LinkInvalid):
        resolve(made, link.token)


def test_a_revoked_key_ends_its_links_and_a_retired_one_does_not(made: World) -> None:
    """Rotation leaves links alone; a compromise ends them."""
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        kid = keys.signing(connection, made.place.settings.keys, purpose="link").kid
        keys.new(connection, made.place.settings.keys, purpose="link", actor=ACTOR)
    assert resolve(made, link.token)["id"] == link.id
    with writing(made.engine) as connection:
        connection.execute(update(models.signing_key).where(models.signing_key.c.kid == kid).values(retired_at=None))
        keys.revoke(connection, kid or "", actor=ACTOR)
    with pytest.raises(LinkInvalid):
        resolve(made, link.token)


def test_only_a_ready_export_has_links(made: World) -> None:
    """Incomplete exports are not delivered; exports that are no longer ready are no longer delivered."""
    waiting = made.request("user:usr_2")
    with pytest.raises(WrongState):
        issue(made, waiting)
    with pytest.raises(UnknownExport):
        issue(made, "nothing")
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="running"))
    with pytest.raises(LinkInvalid):
        resolve(made, link.token)


def test_without_its_key_no_link_is_made(made: World) -> None:
    """The operator hears which key is missing."""
    export_id = ready(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.signing_key).values(revoked_at=models.signing_key.c.created_at))
    with pytest.raises(NoSigningKey):
        issue(made, export_id)


def test_a_machine_without_the_present_key_does_not_call_a_link_invalid(made: World, tmp_path: Path) -> None:
    """The file of a new key was not copied there yet: no other link has to be requested; a forged one is refused."""
    link = issue(made, ready(made))
    with reading(made.engine) as connection:
        with pytest.raises(NoSigningKey):
            links.resolve(connection, tmp_path / "other-machine", link.token)
        with pytest.raises(LinkInvalid):
            links.resolve(connection, tmp_path / "other-machine", link.token[:-4] + "AAAA")
    with writing(made.engine) as connection:
        before = keys.signing(connection, made.place.settings.keys, purpose="link").kid
        keys.new(connection, made.place.settings.keys, purpose="link", actor=ACTOR)
    whole = (made.place.settings.keys / f"{before}.pem").read_bytes()
    other = next(made.place.settings.keys.glob("archive-*.pem")).read_bytes()
    for number, content in enumerate((None, b"", whole[:100], other)):
        without = shutil.copytree(made.place.settings.keys, tmp_path / f"lost {number}")
        pem = without / f"{before}.pem"
        pem.unlink()
        if content is not None:
            pem.write_bytes(content)
        with reading(made.engine) as connection, pytest.raises(NoSigningKey, match=str(before)):
            links.resolve(connection, without, link.token)  # it has a successor, and the link has not ended
        pem.write_bytes(whole)
        with reading(made.engine) as connection:
            assert links.resolve(connection, without, link.token)["id"] == link.id


@pytest.mark.parametrize("ended", ["link", "key", "time"])
def test_a_link_that_has_ended_is_invalid_also_without_its_key(made: World, tmp_path: Path, ended: str) -> None:
    """It is revoked, its key is revoked, or its time is over: to try again later does not help."""
    link = issue(made, ready(made))
    with writing(made.engine) as connection:
        kid = keys.signing(connection, made.place.settings.keys, purpose="link").kid or ""
        if ended == "link":
            links.revoke(connection, link.id, actor=ACTOR)
        elif ended == "key":
            keys.revoke(connection, kid, actor=ACTOR)
        else:
            connection.execute(update(models.link).values(expires_at=models.link.c.created_at))
    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.resolve(connection, tmp_path / "nothing", link.token)


@pytest.mark.parametrize("seconds", [0, -1, 31 * DAY])
def test_a_link_has_a_bounded_life(made: World, seconds: float) -> None:
    """More than nothing and thirty days at the most."""
    with pytest.raises(BadInput):
        issue(made, ready(made), ttl_seconds=seconds)


@pytest.mark.parametrize(
    ("subject", "tenant", "fitting"),
    [("user:usr_1", None, {"login", "code"}), ("contact:con_1", "ten_1", {"code"})],
)
def test_the_audience_fits_the_subject(made: World, subject: str, tenant: str | None, fitting: set[str]) -> None:
    """A user logs in or, with a closed account, gets a code; a contact gets a code; all others are refused."""
    export_id = ready(made, subject, tenant=tenant)
    for audience in ("login", "code", "tenant_admin", "anybody"):
        if audience in fitting:
            assert issue(made, export_id, audience).audience == audience
        else:
            with pytest.raises(BadInput):
                issue(made, export_id, audience)


def test_an_instruction_sends_a_contacts_archive_to_the_administrator(made: World) -> None:
    """Only where the tenant has said so, for this contact, and for as long as that stands."""
    export_id = ready(made, "contact:con_1", tenant="ten_1")
    assert issue(made, export_id, audience=None).audience == "code"
    with writing(made.engine) as connection:
        row = connection.execute(select(models.export)).mappings().one()
        assert links.default_audience(connection, row) == "code"
        order = instructions.add(
            connection, "ten_1", contact_id="con_1", exporters=None, actor=ACTOR, delivery=Delivery.TENANT_ADMIN
        )
        assert links.default_audience(connection, row) == "tenant_admin"
    assert issue(made, export_id, "tenant_admin").audience == "tenant_admin"
    assert issue(made, export_id, audience=None).audience == "tenant_admin"
    with writing(made.engine) as connection:
        instructions.withdraw(connection, order, actor=ACTOR)
        instructions.add(
            connection, "ten_1", contact_id="con_2", exporters=None, actor=ACTOR, delivery=Delivery.TENANT_ADMIN
        )
    with pytest.raises(BadInput):
        issue(made, export_id, "tenant_admin")


def test_a_withdrawn_instruction_ends_the_links_of_the_administrator(made: World) -> None:
    """A contact's archive is for the administrator only as long as the company's instruction is active."""
    export_id, folder = ready(made, "contact:con_1", tenant="ten_1"), made.place.settings.keys
    with writing(made.engine) as connection:
        order = instructions.add(
            connection, "ten_1", contact_id=None, exporters=None, actor=ACTOR, delivery=Delivery.TENANT_ADMIN
        )
    given, code = issue(made, export_id, "tenant_admin"), issue(made, export_id, "code")
    with writing(made.engine) as connection:
        assert links.resolve(connection, folder, given.token)["export_id"] == export_id
        instructions.withdraw(connection, order, actor=ACTOR)
    with reading(made.engine) as connection:
        assert links.resolve(connection, folder, code.token)["export_id"] == export_id
        with pytest.raises(LinkInvalid):
            links.resolve(connection, folder, given.token)


def test_a_link_admits_its_audience_alone() -> None:
    """The same id in another role, at another tenant or of another kind is another person."""
    row = {"audience": "login", "subject_kind": "user", "subject_id": "usr_1", "tenant": None}
    assert links.admits(row, Actor("subject", "usr_1"))
    others = [Actor("subject", "usr_2"), Actor("staff", "usr_1"), Actor("operator", "usr_1")]
    others.append(Actor("subject", "usr_1", "ten_1", SubjectKind.CONTACT))
    assert not any(links.admits(row, other) for other in others)
    row = {"audience": "tenant_admin", "subject_kind": "tenant", "subject_id": "ten_1", "tenant": "ten_1"}
    assert links.admits(row, Actor("tenant_admin", "usr_9", "ten_1"))
    assert not links.admits(row, Actor("tenant_admin", "usr_9", "ten_2"))
    assert not links.admits(row | {"audience": "code"}, Actor("tenant_admin", "usr_9", "ten_1"))


def test_a_claim_opens_its_volume_again_and_again(made: World) -> None:
    """An interrupted download is resumed with its claim; the claim gives access to one volume of one link."""
    first, second = (issue(made, ready(made, f"user:usr_{n}")) for n in (1, 2))
    row, other = resolve(made, first.token), resolve(made, second.token)
    token = claim(made, row)
    for _ in range(5):
        assert volume_of(made, row, token)["export_id"] == first.export_id
    for link, volume, claimed in ((other, 1, token), (row, 2, token), (row, 1, token[:-1])):
        with pytest.raises(LinkInvalid):
            volume_of(made, link, claimed, volume)


def test_a_claim_runs_out(made: World) -> None:
    """After its window the download begins again, with a claim that counts."""
    row = resolve(made, issue(made, ready(made)).token)
    token = claim(made, row, seconds=-1)
    with pytest.raises(LinkInvalid):
        volume_of(made, row, token)


def test_claims_are_bounded_for_each_volume(made: World) -> None:
    """A link that is passed around is soon used up; of a volume that is not there no claim is given."""
    row = resolve(made, issue(made, ready(made)).token)
    for _ in range(2):
        claim(made, row, claims_max=2)
    for volume in (1, 7):
        with pytest.raises(LinkInvalid):
            claim(made, row, volume, claims_max=2)


def test_the_bound_holds_for_those_who_come_at_once(made: World, control_url: str) -> None:
    """Four at the same moment, two places: two get in."""
    row = resolve(made, issue(made, ready(made)).token)

    def try_it(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            with writing(engine) as connection:
                links.claim(connection, row, 1, actor=ACTOR, claims_max=2, claim_seconds=60)
        except LinkInvalid:
            return False
        else:
            return True
        finally:
            engine.dispose()

    assert sorted(in_threads(4, try_it)) == [False, False, True, True]


def test_everything_about_a_link_is_audited(made: World) -> None:
    """Issued, claimed, downloaded with bytes and completion, revoked: with its id, never with its token."""
    export_id = ready(made)
    link = issue(made, export_id)
    row = resolve(made, link.token)
    token = claim(made, row)
    with writing(made.engine) as connection:
        volume = links.claimed(connection, row, 1, token)
        download = downloads.begin(connection, row, volume, token, device="")
        downloads.sent(connection, download, 0, volume["bytes"], is_over=True)
        links.revoke(connection, link.id, actor=ACTOR)
    with reading(made.engine) as connection:
        events = [e for e in audit.events(connection, export_id=export_id) if e["action"].startswith("link.")]
    actions = [event["action"].removeprefix("link.") for event in events]
    assert actions == ["issued", "claimed", "downloaded", "revoked"]
    assert all(event["detail"]["link"] == link.id for event in events)
    assert events[1]["detail"]["claim"] == events[2]["detail"]["claim"]
    assert (events[2]["detail"]["bytes"], events[2]["detail"]["complete"]) == (volume["bytes"], True)


def test_all_links_are_revoked_at_once(made: World) -> None:
    """Revoked links are not changed; revoking one twice is invalid input."""
    export_id = ready(made)
    first, second = issue(made, export_id), issue(made, export_id)
    with writing(made.engine) as connection:
        links.revoke(connection, first.id, actor=ACTOR)
        assert links.revoke_all(connection, export_id, actor=ACTOR) == 1
        for identifier in (first.id, second.id, "lnk_nothing"):
            with pytest.raises(UnknownLink):
                links.revoke(connection, identifier, actor=ACTOR)
    for link in (first, second):
        with pytest.raises(LinkInvalid):
            resolve(made, link.token)
