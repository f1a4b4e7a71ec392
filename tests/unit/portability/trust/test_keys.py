from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from factories import World
from sqlalchemy import update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import NoSigningKey, UnknownKey, WrongState
from portability.trust import external_keys, key_files, key_folder, keys, metrics_tokens
from portability.trust.signing import Jwks, SignatureFault, check, sign

ACTOR = "operator:test"


def new(made: World, purpose: str = "archive") -> str:
    with writing(made.engine) as connection:
        return keys.new(connection, made.place.settings.keys, purpose=purpose, actor=ACTOR)


def signing_kid(made: World, purpose: str = "archive") -> str | None:
    with reading(made.engine) as connection:
        return keys.signing(connection, made.place.settings.keys, purpose=purpose).kid


def published(made: World) -> dict[str, dict[str, str]]:
    with reading(made.engine) as connection:
        document = json.loads(json.dumps(keys.jwks(connection)))
    return {key["kid"]: key for key in document["keys"]}


def test_a_new_key_retires_its_predecessor(made: World) -> None:
    """Rotation is one step: the new key signs, and the old key is published with the time of its retirement."""
    old = signing_kid(made)
    fresh = new(made)
    assert signing_kid(made) == fresh != old
    assert old is not None
    assert "retired_at" in published(made)[old]
    assert "retired_at" not in published(made)[fresh]


def test_purposes_do_not_touch_each_other(made: World) -> None:
    """A new link key leaves the archive key alone."""
    before = signing_kid(made)
    link = new(made, "link")
    assert signing_kid(made) == before
    assert signing_kid(made, "link") == link


def test_the_jwks_has_public_halves_of_published_purposes_alone(made: World) -> None:
    """No private number, and no link key, ever stands in the JWK Set; a sender checks our receipts with it."""
    kids = {purpose: new(made, purpose) for purpose in keys.PURPOSES}
    document = published(made)
    assert {kids[purpose] for purpose in ("archive", "transfer", "receipt", "audit")} <= document.keys()
    assert kids["link"] not in document
    for key in document.values():
        assert key.keys() - {"retired_at", "revoked_at"} == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")


def test_no_private_half_is_in_the_database(made: World, tmp_path: Path) -> None:
    """The database may be copied; what signs stays in its folder."""
    (pem,) = made.place.settings.keys.glob("archive-*")
    secret = pem.read_text().splitlines()[1]
    made.engine.dispose()
    content = b"".join(path.read_bytes() for path in tmp_path.glob("portability.sqlite*"))
    assert secret.encode() not in content
    assert b'"d"' not in content


def test_private_halves_are_for_their_owner_alone(made: World) -> None:
    """The folder is 0700, each PEM 0600, for any umask."""
    folder = made.place.settings.keys
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_missing_private_half_is_no_signing_key(made: World) -> None:
    """A machine without the keys folder says which key it lacks, and where to put it."""
    (pem,) = made.place.settings.keys.glob("archive-*")
    pem.unlink()
    with pytest.raises(NoSigningKey, match=pem.stem) as raised:
        signing_kid(made)
    assert "PORTABILITY_KEYS_DIR" in raised.value.hint


def test_a_file_without_a_key_is_no_signing_key(made: World) -> None:
    """A file that was copied in part, has a password, or has the public half alone is named with its kid."""
    (pem,) = made.place.settings.keys.glob("archive-*")
    whole = pem.read_bytes()
    private = load_pem_private_key(whole, None)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for content in (b"", whole[:100], locked, public):
        pem.write_bytes(content)
        with pytest.raises(NoSigningKey, match=f"{pem.stem} has no key") as raised:
            signing_kid(made)
        assert "PORTABILITY_KEYS_DIR" in raised.value.hint
    pem.write_bytes(whole)
    assert signing_kid(made) == pem.stem


@pytest.mark.parametrize("end", [keys.retire, keys.revoke])
def test_an_ended_key_signs_no_more(made: World, end: object) -> None:
    """Neither a retired nor a revoked key signs; without another one there is no signing key."""
    kid = signing_kid(made)
    with writing(made.engine) as connection:
        end(connection, kid, actor=ACTOR)  # type: ignore[operator]  # both are functions of this shape
    with pytest.raises(NoSigningKey, match="no active key"):
        signing_kid(made)


@pytest.mark.parametrize("minutes", [-120, 120])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_a_worker_signs_while_its_key_retires_verifies(
    made: World, monkeypatch: pytest.MonkeyPatch, minutes: int, *, is_replaced: bool
) -> None:
    """Its clock may be ahead, and that of the machine that rotates may be wrong; what is signed later is refused."""
    present = datetime.now(UTC)

    class DriftedTime(datetime):
        @classmethod
        def now(cls, *_zone: object) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return present + timedelta(minutes=minutes)

    with reading(made.engine) as connection:
        taken = keys.signing(connection, made.place.settings.keys)
    with monkeypatch.context() as wrong, writing(made.engine) as connection:
        wrong.setattr(keys, "datetime", DriftedTime)
        if is_replaced:
            keys.new(connection, made.place.settings.keys, actor=ACTOR)
        else:
            keys.retire(connection, str(taken.kid), actor=ACTOR)
    public = Jwks.parse({"keys": [*published(made).values()]})
    early, late = (
        [sign({"iat": int(present.timestamp()) + seconds}, taken, typ="text+jwt") for seconds in each]
        for each in ((-60, 0, 240), (360,))
    )
    for token in early:
        assert check(token, public, typ="text+jwt")
    for token in late:
        with pytest.raises(SignatureFault, match="was retired"):
            check(token, public, typ="text+jwt")


def test_a_retired_key_can_still_be_revoked_and_a_revoked_one_is_final(made: World) -> None:
    """A key may prove stolen after its retirement; nothing comes after revocation."""
    kid = str(signing_kid(made))
    with writing(made.engine) as connection:
        keys.retire(connection, kid, actor=ACTOR)
        with pytest.raises(WrongState, match="retired"):
            keys.retire(connection, kid, actor=ACTOR)
        keys.revoke(connection, kid, actor=ACTOR)
        for end in (keys.retire, keys.revoke):
            with pytest.raises(WrongState, match="revoked"):
                end(connection, kid, actor=ACTOR)
    assert published(made)[kid].keys() >= {"retired_at", "revoked_at"}


def test_an_unknown_key_and_an_unknown_purpose_are_bad_input(made: World) -> None:
    """Nothing is made or ended for a name that does not exist."""
    with writing(made.engine) as connection:
        with pytest.raises(UnknownKey):
            keys.retire(connection, "archive-0", actor=ACTOR)
        with pytest.raises(BadInput, match="nonsense"):
            keys.new(connection, made.place.settings.keys, purpose="nonsense", actor=ACTOR)
    assert len(list(made.place.settings.keys.glob("archive-*"))) == 1


def test_of_two_active_keys_the_newest_signs(made: World) -> None:
    """If two machines rotate at the same time, both keys verify and one signs."""
    old = signing_kid(made)
    fresh = new(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.signing_key).values(retired_at=None))
    assert signing_kid(made) == fresh != old


def test_a_key_that_others_can_read_is_a_fault(made: World) -> None:
    """Who may read the folder as another account could sign: the doctor names the key and what to do."""
    folder = made.place.settings.keys
    key_folder.check(folder)
    (path,) = folder.glob("archive-*.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o620, 0o601):
        path.chmod(mode)
        with pytest.raises(NoSigningKey, match=f"other accounts can read or change the private key {path.stem}"):
            key_folder.check(folder)
    path.chmod(0o400)
    key_folder.check(folder)


def test_a_folder_that_may_not_be_read_is_not_a_key_that_is_missing(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key would end links and sessions, and the account could not read it either: the hint names the rights."""

    def refuse(_path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(NoSigningKey) as caught:
        key_folder.check(made.place.settings.keys)
    assert caught.value.hint == keys.READ_HINT


def test_a_look_at_a_wrong_file_costs_a_process_no_key(made: World) -> None:
    """The metrics look at each scrape: pages go on with what they have read until the right file is back."""
    folder, kid = made.place.settings.keys, new(made, "link")
    assert signing_kid(made, "link") == kid
    (folder / f"{kid}.pem").write_bytes((folder / f"{signing_kid(made)}.pem").read_bytes())
    with reading(made.engine) as connection:
        for row in keys.listed(connection, "link"):
            with suppress(NoSigningKey):
                keys.check_file(folder, row)
    assert signing_kid(made, "link") == kid


def test_a_folder_that_is_away_is_mounted_and_not_made_anew(made: World) -> None:
    """A new key would retire the one that all other machines have; a process signs on with what it has read."""
    folder, kid = made.place.settings.keys, signing_kid(made)
    folder.rename(folder.with_name("away"))
    with pytest.raises(NoSigningKey, match="cannot look at the private keys: FileNotFoundError") as caught:
        key_folder.check(folder)
    assert caught.value.hint == key_folder.AWAY_HINT
    assert signing_kid(made) == kid


@pytest.mark.parametrize("purpose", ["archive", "link"])
def test_a_key_that_was_read_needs_its_folder_no_more(
    made: World, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    """The folder may not be read, hangs, or gets a second file of the kid: running processes go on."""
    folder, kid = made.place.settings.keys, new(made, purpose)
    assert signing_kid(made, purpose) == kid
    (folder / f"{kid}{external_keys.SUFFIX}").write_bytes(b"")

    def refuse(_path: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", refuse)
    assert signing_kid(made, purpose) == kid
    with reading(made.engine) as connection:
        assert kid in keys.own(connection, folder, purpose=purpose).keys


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another account; CI runs as root")
def test_root_makes_keys_for_the_owner_of_the_folder(made: World) -> None:
    """Made with sudo on a server, a key is readable for the account of the processes; a wrong owner is a fault."""
    folder = made.place.settings.keys
    os.chown(folder, 12345, 23456)
    path = folder / f"{new(made)}.pem"
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (12345, 23456, 0o600)
    for other in folder.glob("*.pem"):
        os.chown(other, 12345, 23456)
    key_folder.check(folder)
    os.chown(path, 0, 0)
    with pytest.raises(NoSigningKey, match="belongs to another account than its folder"):
        key_folder.check(folder)


def test_a_token_for_metrics_belongs_to_a_link_key(made: World) -> None:
    """A new key makes a new token; the old one works until its key is revoked."""
    folder = made.place.settings.keys
    old = new(made, "link")
    with reading(made.engine) as connection:
        before = [*metrics_tokens.present(connection, folder).values()][-1]
    new(made, "link")
    with reading(made.engine) as connection:
        both = [*metrics_tokens.present(connection, folder).values()][-2:]
    assert both[0] == before
    assert len({*both}) == 2
    with writing(made.engine) as connection:
        keys.revoke(connection, old, actor=ACTOR)
        left = [*metrics_tokens.present(connection, folder).values()]
    assert (left[-1], both[0] in left) == (both[1], False)


def test_a_token_for_metrics_outlives_the_file_of_its_key(made: World) -> None:
    """Prometheus reads the metrics that say which file is missing or has another key, until the key is revoked."""
    folder = made.place.settings.keys
    kid = new(made, "link")
    pem = folder / f"{kid}.pem"
    with reading(made.engine) as connection:
        known = metrics_tokens.present(connection, folder)
        for spoil in (pem.unlink, partial(pem.write_bytes, pem.read_bytes()[:99])):
            spoil()
            keys.forget_files()
            assert kid not in metrics_tokens.present(connection, folder)
            assert metrics_tokens.present(connection, folder, known) == known
        pem.write_bytes((folder / f"{signing_kid(made)}.pem").read_bytes())
        assert kid not in metrics_tokens.present(connection, folder)
        assert metrics_tokens.present(connection, folder, known) == known
    with writing(made.engine) as connection:
        keys.revoke(connection, kid, actor=ACTOR)
        assert kid not in metrics_tokens.present(connection, folder, known)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _leading_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _leading_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _without_end(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _too_long(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"#" * key_files.BYTES_MAX)


@pytest.mark.parametrize("suffix", keys.SUFFIXES)
@pytest.mark.parametrize("spoil", [_pipe, _folder, _leading_nowhere, _leading_to_itself, _without_end, _too_long])
def test_what_is_no_file_of_a_key_is_named_at_once(made: World, spoil: Callable[[Path], None], suffix: str) -> None:
    """A pipe would hold each process for ever; a new key is not the advice: what is in its place has to go."""
    folder, kid = made.place.settings.keys, signing_kid(made)
    with reading(made.engine) as connection:
        (row,) = (row for row in keys.listed(connection) if row["kid"] == kid)
    place = folder / f"{kid}{suffix}"
    place.write_bytes((folder / f"{kid}.pem").read_bytes())
    place.chmod(0o600)
    spoil(place)
    keys.forget_files()
    if suffix == ".pem" or place.exists():
        with pytest.raises(NoSigningKey, match=kid):
            keys.check_file(folder, row)
        with pytest.raises(NoSigningKey, match=kid), reading(made.engine) as connection:
            keys.signing(connection, folder)
    if not (place.is_file() and place.stat().st_size):
        with pytest.raises(NoSigningKey, match=kid) as caught:
            key_folder.check(folder)
        assert caught.value.hint == keys.COPY_HINT


@pytest.mark.parametrize("purpose", ["archive", "link"])
def test_a_file_with_the_key_of_another_kid_signs_nothing(made: World, tmp_path: Path, purpose: str) -> None:
    """A restored or copied file under a wrong name would make signatures that the published key does not verify."""
    folder = tmp_path / "replaced"
    folder.mkdir(mode=0o700)
    kid = new(made, purpose)
    other = new(made, "audit")
    (folder / f"{kid}.pem").write_bytes((made.place.settings.keys / f"{other}.pem").read_bytes())
    with reading(made.engine) as connection, pytest.raises(NoSigningKey, match=f"{kid} has another key") as raised:
        keys.signing(connection, folder, purpose=purpose)
    assert "copy it to PORTABILITY_KEYS_DIR again" in raised.value.hint
