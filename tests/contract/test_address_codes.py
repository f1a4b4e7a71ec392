"""Codes that prove an address: to whom they go, how often, and for how long anything of it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from postbox import Postbox, UnaskedDirectory, bodies
from simultaneous import in_threads
from sqlalchemy import func, select, update

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import codes
from portability.errors import NoSigningKey, TooManyAttempts
from portability.messages.outbox import Channel
from portability.retention import erasures
from portability.retention.erasures import Whom
from worker.clock import erasure, message_delivery, purge
from worker.clock.envelopes import Desk

ADDRESS = "canary.reader@news.example"
NUMBER = "+493090182020"
WRONG = "0000 0000"


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    exporter = MadeUpExporter(things(3), subject_kinds=frozenset({SubjectKind.EMAIL, SubjectKind.PHONE}))
    return world(tmp_path, {"made": exporter}, database_url=control_url).with_all_keys()


def send(
    made: World, address: str = ADDRESS, *, kind: SubjectKind = SubjectKind.EMAIL, language: str = "en", most: int = 200
) -> str:
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        return codes.send_to_address(connection, folder, kind, address, language=language, per_hour=most)


def text_of(made: World, code_id: str) -> str:
    with reading(made.engine) as connection:
        return str(codes.text(connection, made.place.settings.keys, code_id))


def check(made: World, code_id: str, code: str) -> tuple[SubjectKind, str] | None:
    with writing(made.engine) as connection:
        return codes.check_of_address(connection, made.place.settings.keys, code_id, code)


def desk(made: World, box: Postbox | None = None, **settings: object) -> Desk:
    mail = {"smtp_url": box.url, "mail_from": "Data <data@vlint.example>"} if box else {}
    chosen = made.place.settings.model_copy(update={**mail, "smtp_seconds": 5.0, **settings})
    return Desk(made.engine, chosen, UnaskedDirectory())


def stored(made: World) -> str:
    """Everything in the control database, as one text."""
    with reading(made.engine) as connection:
        return str([connection.execute(select(table)).all() for table in models.metadata.sorted_tables])


@pytest.mark.requirement("R15")
def test_the_right_code_proves_its_address_once(made: World) -> None:
    """Eight digits, with or without a space; a second time, and a code of another address, prove nothing."""
    mine, other = send(made), send(made, "other@news.example")
    code = text_of(made, mine)
    assert not check(made, other, code)
    assert check(made, mine, f"{code[:4]} {code[4:]}") == (SubjectKind.EMAIL, ADDRESS)
    assert not check(made, mine, code)
    assert not check(made, "", code)


def test_a_code_whose_key_is_not_here_is_not_wrong(made: World, tmp_path: Path) -> None:
    """Its file is missing or has another key: no code is right, no attempt counts, and the code stays good."""
    code_id = send(made)
    code = text_of(made, code_id)
    with reading(made.engine) as connection:
        kid = connection.scalar(select(models.code.c.kid))
    replaced = tmp_path / "replaced"
    replaced.mkdir()
    (replaced / f"{kid}.pem").write_bytes(next(made.place.settings.keys.glob("archive-*.pem")).read_bytes())
    for folder in (tmp_path / "nothing", replaced):
        for _ in range(6):
            with pytest.raises(NoSigningKey, match=str(kid)), writing(made.engine) as connection:
                codes.check_of_address(connection, folder, code_id, code)
    assert check(made, code_id, code) == (SubjectKind.EMAIL, ADDRESS)


def test_five_wrong_guesses_end_a_code(made: World) -> None:
    """Then the right code proves nothing; a new code does. An expired code proves nothing either."""
    code_id = send(made)
    assert [check(made, code_id, WRONG) for _ in range(5)] == [None] * 5
    assert not check(made, code_id, text_of(made, code_id))
    again = send(made)
    code = text_of(made, again)
    with writing(made.engine) as connection:
        connection.execute(update(models.code).values(expires_at=now(-1)))
    assert not check(made, again, code)


@pytest.mark.requirement("R15")
def test_a_code_counts_attempts_that_come_at_once(made: World, control_url: str) -> None:
    """Of twenty requests with the right code one proves the address; after twenty wrong guesses none does."""
    folder, used, guessed = made.place.settings.keys, send(made), send(made)
    right = text_of(made, used)

    def attempt(number: int) -> bool:
        engine = open_engine(control_url)
        try:
            with writing(engine) as connection:
                code_id, code = (used, right) if number < 20 else (guessed, WRONG)
                return bool(codes.check_of_address(connection, folder, code_id, code))
        finally:
            engine.dispose()

    assert sum(in_threads(40, attempt)) == 1
    with reading(made.engine) as connection:
        attempts = select(models.code.c.attempts).where(models.code.c.id == guessed)
        assert connection.scalar(attempts) == codes.ATTEMPTS_MAX
    assert not check(made, guessed, text_of(made, guessed))


@pytest.mark.requirement("R15")
def test_an_address_gets_five_codes_an_hour_and_all_together_a_number(made: World, control_url: str) -> None:
    """Also those of the same moment; other addresses get theirs until the number of all is reached."""

    def ask(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            with writing(engine) as connection:
                folder = made.place.settings.keys
                codes.send_to_address(connection, folder, SubjectKind.EMAIL, ADDRESS, language="en", per_hour=200)
        except TooManyAttempts:
            return False
        finally:
            engine.dispose()
        return True

    assert sum(in_threads(8, ask)) == 5
    send(made, "other@news.example", most=6)
    with pytest.raises(TooManyAttempts):
        send(made, "third@news.example", most=6)
    with writing(made.engine) as connection:
        connection.execute(update(models.code).values(created_at=now(-3601)))
    send(made, most=6)


@pytest.mark.requirement("R45")
def test_the_code_comes_by_mail_in_the_language_of_the_page(made: World, box: Postbox) -> None:
    """To the address alone: no directory is asked, no audit event and no message in the database contains it."""
    code_id = send(made, language="de")
    assert message_delivery.deliver(desk(made, box, brand_name="Kiosk")) == 1
    (message,) = box.taken
    code = text_of(made, code_id)
    assert (box.recipients, str(message["Subject"])) == ([ADDRESS], "Ihr Code")
    assert all(f"{code[:4]} {code[4:]}" in body and "Kiosk" in body for body in bodies(message))
    with reading(made.engine) as connection:
        others = [t for t in models.metadata.sorted_tables if t is not models.code]
        assert not any(ADDRESS in str(connection.execute(select(table)).all()) for table in others)
    assert code not in stored(made)


def test_the_code_comes_by_sms(made: World, tmp_path: Path) -> None:
    """To a number: one text with the code. A message by mail does not wait for it, nor it for that."""
    code_id = send(made, NUMBER, kind=SubjectKind.PHONE, language="id")
    send(made)
    asking = desk(made, sms_url=(tmp_path / "sms").as_uri(), brand_name="Kiosk")
    assert message_delivery.deliver(asking, None, Channel.SMS) == 1
    (path,) = (tmp_path / "sms").iterdir()
    sent, code = json.loads(path.read_text()), text_of(made, code_id)
    assert sent["to"] == NUMBER
    assert sent["text"] == (
        f"Kiosk: {code[:4]} {code[4:]} adalah kode untuk meminta data Anda. "
        "Berlaku 10 menit. Kami tidak pernah menanyakannya."
    )
    assert path.parent.stat().st_mode & 0o077 == 0
    with reading(made.engine) as connection:
        columns = (models.notification.c.channel, models.notification.c.state)
        states = {str(row[0]): str(row[1]) for row in connection.execute(select(*columns))}
    assert states == {"sms": "sent", "mail": "queued"}


def test_an_export_of_a_number_is_reported_by_sms(made: World, tmp_path: Path) -> None:
    """What happened, and where to log in with a code; nothing else about the person or the export."""
    made.request(f"phone:{NUMBER}")
    made.advance_all()
    asking = desk(made, sms_url=(tmp_path / "sms").as_uri(), base_url="https://data.example")
    assert message_delivery.deliver(asking, None, Channel.SMS) == 2
    texts = sorted(json.loads(path.read_text())["text"] for path in (tmp_path / "sms").iterdir())
    assert texts == [
        "The copy of your data is ready: https://data.example/login/address",
        "We have received the request for a copy of your data: https://data.example/login/address",
    ]


@pytest.mark.requirement("R50")
def test_an_address_is_forgotten_after_a_day(made: World) -> None:
    """With its code and its message; a code of the last day stays, because attempts are counted."""
    send(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.code).values(created_at=now(-86_401)))
        connection.execute(update(models.notification).values(created_at=now(-86_401)))
    kept = send(made, "other@news.example")
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert connection.scalars(select(models.code.c.id)).all() == [kept]
        assert connection.scalars(select(models.notification.c.occasion)).all() == [kept]
    assert ADDRESS not in stored(made)


@pytest.mark.requirement("R8")
def test_an_erasure_deletes_the_codes_of_the_address(made: World) -> None:
    """Also those of the last day; codes of other addresses stay."""
    send(made)
    send(made, "other@news.example")
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom("email", ADDRESS, None), reason="request 7", actor="operator:test")
    erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.code)) == 1
    assert ADDRESS not in stored(made)
