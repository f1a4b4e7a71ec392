"""Keys in key stores: they sign all that keys in files sign, and their private halves are in no process and no file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner
from factories import MadeUpExporter, World, things, world
from key_stores import KeyStore, kms_stand_in, soft_hsm
from workers import READY, deployment

from cli import checks
from cli.context import Context
from cli.main import main
from demo.plan import SeedPlan
from demo.seed import seed
from portability.api.errors import BadInput, BadSetting
from portability.database.engine import reading, writing
from portability.errors import NoSigningKey
from portability.storage import open_storage
from portability.trust import keys
from portability.trust.signing import RECEIPT_TYPE, sign
from worker import export

TEST = "operator:test"


@pytest.fixture(params=["pkcs11", "aws-kms"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    """A token of SoftHSM, and the stand-in of AWS KMS."""
    if request.param == "pkcs11":
        with soft_hsm(tmp_path / "hsm") as token:
            yield token
    else:
        with kms_stand_in() as service:
            yield service


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path / "here", {"made": MadeUpExporter(things(5))})


def register(made: World, uri: str, purpose: str = "archive") -> str:
    with writing(made.engine) as connection:
        return keys.register(connection, made.place.settings.keys, uri, purpose=purpose, actor=TEST)


def archived(made: World) -> tuple[str, Path]:
    """A new export that is ready."""
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    (path,) = made.fetch(identifier)
    return identifier, path


def signer(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("signature.jwt")]
        return str(jwt.get_unverified_header(archive.read(name).decode())["kid"])


def test_an_archive_is_signed_in_the_store(made: World, store: KeyStore) -> None:
    """It verifies by our verifier and by another library; the folder has no private half."""
    kid = register(made, store.new())
    _, path = archived(made)

    assert made.verify([path]).ok
    assert signer(path) == kid
    with reading(made.engine) as connection:
        published = json.loads(json.dumps(keys.jwks(connection)))["keys"]
    (public,) = [key for key in published if key["kid"] == kid]
    assert set(public) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("signature.jwt")]
        jwt.decode(archive.read(name), jwt.PyJWK(public).key, algorithms=["ES256"])
    folder = made.place.settings.keys
    assert not (folder / f"{kid}.pem").exists()
    content = json.loads((folder / f"{kid}.key.json").read_text())
    assert "d" not in content["public_jwk"]
    assert (folder / f"{kid}.key.json").stat().st_mode & 0o777 == 0o600


def test_rotation_keeps_what_was_signed(made: World, store: KeyStore) -> None:
    """From a file into the store, to another key of the store, and back: each archive names its key and verifies."""
    with reading(made.engine) as connection:
        in_file = str(keys.signing(connection, made.place.settings.keys).kid)
    signers, paths = [in_file], [archived(made)[1]]
    for _ in range(2):
        signers.append(register(made, store.new()))
        paths.append(archived(made)[1])
    with writing(made.engine) as connection:
        signers.append(keys.new(connection, made.place.settings.keys, actor=TEST))
    paths.append(archived(made)[1])

    assert [signer(path) for path in paths] == signers
    assert len(set(signers)) == 4
    for path in paths:
        assert made.verify([path]).ok
    with reading(made.engine) as connection:
        retired = [row["kid"] for row in keys.listed(connection, "archive") if row["retired_at"]]
    assert retired == signers[:3]


def test_each_purpose_that_only_signs_can_be_in_the_store(made: World, store: KeyStore) -> None:
    """A key for links also encrypts: it stays a file, and the error says so."""
    for purpose in ("archive", "transfer", "receipt", "audit"):
        kid = register(made, store.new(), purpose)
        with reading(made.engine) as connection:
            key = keys.signing(connection, made.place.settings.keys, purpose=purpose)
            own = keys.own(connection, made.place.settings.keys, purpose=purpose)
        token = sign({"iat": 1}, key, typ=RECEIPT_TYPE)
        public = own.keys[kid].key.as_pem(private=False)
        assert jwt.decode(token, public, algorithms=["ES256"]) == {"iat": 1}
    with pytest.raises(BadInput, match="encrypts"):
        register(made, store.new(), "link")


def test_an_export_waits_while_the_store_is_away(made: World, store: KeyStore) -> None:
    """It is retried later, and ready once the store signs; the error has no PIN and no address."""
    register(made, store.new())
    one = Context(lambda: made.place.settings, json=False)
    assert checks.signing_key(one).result == "ok"
    store.stop()
    with pytest.raises(NoSigningKey):
        checks.signing_key(one)
    identifier = made.request()
    claim = made.claim()
    assert claim is not None
    export.advance(made.place, claim)
    waiting = made.view(identifier)
    assert (waiting["state"], waiting["error"]["code"]) == ("running", "no_signing_key")
    store.go_on()
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"


def test_another_key_is_not_accepted(made: World, store: KeyStore) -> None:
    """A file that was changed to lead to another key signs nothing."""
    kid, other = register(made, store.new()), store.new()
    path = made.place.settings.keys / f"{kid}.key.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "uri": other}))
    keys.forget_files()
    with reading(made.engine) as connection:
        key = keys.signing(connection, made.place.settings.keys)
    with pytest.raises(NoSigningKey, match="not of the key"):
        sign({"iat": 1}, key, typ=RECEIPT_TYPE)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("vault:key", "no key store"),
        ("pkcs11:token=a;object=b?module-path=/x&pin-value=1234", "contains a PIN"),
        ("pkcs11:token=a?module-path=/x", "lacks object, pin-source"),
        ("pkcs11:token=a;object=b;serial=1?module-path=/x&pin-source=/y", "serial"),
        ("aws-kms:alias/portability", "no ARN"),
    ],
)
def test_a_bad_uri_is_refused(made: World, uri: str, said: str) -> None:
    """In one line that does not repeat it; no key is retired for it."""
    with pytest.raises(BadSetting, match=said) as refused:
        register(made, uri)
    assert "1234" not in str(refused.value)
    with reading(made.engine) as connection:
        assert [row["retired_at"] for row in keys.listed(connection, "archive")] == [None]


def test_a_library_that_is_not_there_is_named(made: World, tmp_path: Path) -> None:
    """The type of the error and what to look at."""
    (tmp_path / "pin").write_text("1")
    with pytest.raises(NoSigningKey, match="the key store fails"):
        register(made, f"pkcs11:token=a;object=b?module-path=/not/there.so&pin-source={tmp_path}/pin")


@pytest.mark.parametrize("store", ["pkcs11", pytest.param("aws-kms", marks=pytest.mark.system)], indirect=True)
def test_workers_sign_in_their_own_processes(tmp_path: Path, redis_url: str, store: KeyStore) -> None:
    """Each job is a fork, which opens the store anew; the key was chosen by the command line."""
    folder = tmp_path / "state"
    with deployment(folder, workers=1, REDIS_URL=redis_url) as running:
        kid = running.json("keys", "new", "--external", store.new())["kid"]
        storage = open_storage((folder / "recordings").as_uri())
        plan = SeedPlan(tenants=1, users=1, contacts=2, calls=2, recordings=0)
        user = seed(f"sqlite:///{folder}/platform.sqlite", storage, plan).examples.user
        for _ in range(2):
            asked = ("--profile", "access", "--subject", f"user:{user}")
            identifier = running.json("request", *asked, "--wait", expect=READY)["id"]
            (path,) = [path for path in folder.rglob("*.zip") if identifier in str(path)]
            assert signer(path) == kid


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    """`keys new --external` with a URI of no key store."""
    place = {"PORTABILITY_DIR": str(tmp_path)}
    answer = CliRunner().invoke(main, ["keys", "new", "--external", "vault:x", "--json"], env=place)
    assert answer.exit_code == 2
    assert json.loads(answer.output)["error"]["hint"] == "it begins with one of: aws-kms, pkcs11"
