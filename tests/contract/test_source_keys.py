"""Files of sources under the names that companies give them, in a folder and on a real S3 server."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import boto3
import pytest
import servers
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_objects import store_object

from portability.api import SourceRefused, Storage
from portability.api.errors import ObjectMissing, SourceError, StorageError, StorageRefused, StorageUnavailable
from portability.storage import open_storage
from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage
from portability.storage.source_files import StorageFiles
from portability.testing import check_source_keys
from portability.testing.source_keys import HOSTILE_SOURCE_KEYS, SOURCE_KEYS
from portability.testing.storages import HOSTILE_KEYS

Place: TypeAlias = Callable[[str, bytes], object]
OF_BUCKETS = ("a//b.wav", "/srv/recordings/1.wav", "s3://bucket/1.wav", "new\nline.wav", "tab\t.wav", "a/" * 100 + "1")
"""Keys that a bucket can hold, and a folder cannot."""


@pytest.fixture(params=["file", "s3"])
def places(request: pytest.FixtureRequest) -> tuple[Callable[[], Storage], Place]:
    """An empty storage, and what another program does to store an object in it."""
    if request.param == "file":
        folder: Path = request.getfixturevalue("tmp_path") / "recordings"

        def write(key: str, body: bytes) -> None:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

        return lambda: open_storage(folder.as_uri()), write
    server: servers.S3Server = request.getfixturevalue("s3")
    url: str = request.getfixturevalue("s3_url")
    client = boto3.client("s3", endpoint_url=server.endpoint)
    prefix = url.split("/")[3].split("?", maxsplit=1)[0]

    def put(key: str, body: bytes) -> object:
        return client.put_object(Bucket=server.bucket, Key=f"{prefix}/{key}", Body=body)

    return lambda: open_storage(url), put


def test_files_are_read_under_the_names_that_companies_give_them(places: tuple[Callable[[], Storage], Place]) -> None:
    """The public suite: phone numbers, times, blanks, percent signs, other scripts."""
    opened, place = places
    check_source_keys(opened, place)


@pytest.mark.parametrize("places", ["s3"], indirect=True)
def test_a_bucket_has_names_that_no_folder_has(places: tuple[Callable[[], Storage], Place]) -> None:
    """Slashes at the beginning and in a row, control characters: a key is a text for S3, and no path."""
    opened, place = places
    for key in OF_BUCKETS:
        place(key, key.encode())
        found = StorageFiles(opened()).stat(key)
        assert found is not None, key
        assert b"".join(StorageFiles(opened()).read(key, 1, etag=found[1])) == key.encode()[1:]


def test_what_can_be_no_file_is_refused_and_the_rest_is_missing(places: tuple[Callable[[], Storage], Place]) -> None:
    """No key waits for a storage that answers: that would hold up the whole dataset, and no retry changes it."""
    opened, place = places
    place("there.wav", b"x")
    files = StorageFiles(opened())
    for key in HOSTILE_SOURCE_KEYS:
        with pytest.raises(SourceRefused) as refusal:
            files.stat(key)
        assert len(key) < 4 or key not in f"{refusal.value}{refusal.value.hint}"
    for key in (*SOURCE_KEYS, *OF_BUCKETS, *HOSTILE_KEYS, "x" * 1100, "日" * 300, "there.wav/more", "there.WAV"):
        assert sizes_of(files, key) == [None], key


def sizes_of(files: StorageFiles, key: str) -> list[int | None]:
    """The sizes that are found; None also for what is refused."""
    try:
        found = files.stat(key)
    except SourceRefused:
        return [None]
    return [found[0] if found else None]


@pytest.mark.parametrize("addressing", ["path", "virtual"])
@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a//b", "a//b"),
        ("/a", "/a"),
        ("a/", "a/"),
        ("trailing ", "trailing%20"),
        ("50%25+?#;~&=", "50%2525%2B%3F%23%3B~%26%3D"),
        ("%2e%2e/a", "%252e%252e/a"),
        ("ü", "%C3%BC"),
        ("s3://bucket/1", "s3%3A//bucket/1"),
        ("a\nb", "a%0Ab"),
    ],
)
def test_a_key_is_sent_as_it_is(addressing: str, key: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing between us and the store shortens or completes the path, and no character of it ends the path."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    asked: list[str] = []

    class RequestComplete(Exception):
        """The request is complete."""

    def stop(request: Any, **_more: Any) -> None:
        asked.append(request.url)
        raise RequestComplete

    storage = S3Storage("calls", "of/2026", endpoint="http://store.test", addressing=addressing)
    storage._open().meta.events.register("before-send.s3", stop)
    for use in (lambda: storage.stat_any(key), lambda: list(storage.read_any(key))):
        with pytest.raises(RequestComplete):
            use()
    host = "store.test/calls" if addressing == "path" else "calls.store.test"
    assert asked == [f"http://{host}/of/2026/{path}"] * 2


@pytest.mark.parametrize(("bucket", "kind"), [(200, StorageRefused), (400, StorageUnavailable), (403, StorageRefused)])
def test_a_key_that_the_server_does_not_take_is_not_asked_for_again(
    bucket: int, kind: type[StorageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers answer 400 to `a//b`. If they answer so to all requests, the key is not the reason."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    storage = S3Storage("calls", endpoint="http://store.test", addressing="path")
    stub = Stubber(storage._open())
    stub.add_client_error("head_object", "400", http_status_code=400)
    if bucket == 200:
        stub.add_response("head_bucket", {})
    else:
        stub.add_client_error("head_bucket", str(bucket), http_status_code=bucket)
    with stub, pytest.raises(kind) as fault:
        storage.stat_any("calls//+49301.wav")
    assert "+49301" not in str(fault.value)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[LocalStorage]:
    """A storage that archives and recordings share, with a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    storage = LocalStorage(tmp_path / "store")
    storage.store_id()
    store_object(storage, "calls/1.wav", b"mine")
    unfinished = storage.begin("calls/2.zip")
    unfinished.write(b"unfinished")
    yield storage
    unfinished.abort()


OWN = [".uploads", ".UPLOADS", ".portability-store"]
PARTS = st.sampled_from(["..", ".", "", "calls", "secret", "store", "out", *OWN])
KEYS = st.one_of(
    st.lists(st.one_of(PARTS, st.text(max_size=4)), max_size=8).map("/".join),
    st.lists(PARTS, max_size=8).map("\\".join),
    st.text(max_size=30),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(key=KEYS)
def test_no_key_leads_out_of_a_folder_or_to_another_file(beside: LocalStorage, key: str) -> None:
    """Every key is the file of exactly this name, or none."""
    if not beside.folder.joinpath("out").is_symlink():
        beside.folder.joinpath("out").symlink_to(beside.folder.parent)
    files = StorageFiles(beside)
    expected = [4] if key == "calls/1.wav" else [None]
    assert sizes_of(files, key) == expected
    try:
        content = b"".join(files.read(key))
    except SourceRefused:
        content = b""
    assert content == (b"mine" if expected == [4] else b"")


def test_names_are_compared_by_their_bytes(tmp_path: Path) -> None:
    """Of two spellings of an accent, and of two cases, each is a file of its own, as the file system has it."""
    files = StorageFiles(LocalStorage(tmp_path))
    composed, apart = (unicodedata.normalize(form, "Müller.wav") for form in ("NFC", "NFD"))
    (tmp_path / composed).write_bytes(b"1")
    assert [sizes_of(files, key) for key in (composed, apart, composed.upper())] == [[1], [None], [None]]
    (tmp_path / apart).write_bytes(b"22")
    assert [sizes_of(files, key) for key in (composed, apart)] == [[1], [2]]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_only_files_are_files(tmp_path: Path) -> None:
    """Folders, pipes, sockets and links are missing, again and again: no descriptor stays open, nothing blocks."""
    (tmp_path / "folder with blank").mkdir()
    (tmp_path / "link+1.wav").symlink_to("/etc/passwd")
    (tmp_path / "linked calls").symlink_to("/etc")
    (tmp_path / "empty?.wav").touch()
    os.mkfifo(tmp_path / "pipe:1")
    files = StorageFiles(LocalStorage(tmp_path))
    before = open_files()
    for key in ("folder with blank", "link+1.wav", "linked calls/passwd", "pipe:1") * 3:
        assert not files.stat(key), key
        with pytest.raises(SourceRefused, match=r"^missing"):
            list(files.read(key))
    assert open_files() == before
    assert sizes_of(files, "empty?.wav") == [0]
    assert list(files.read("empty?.wav")) == []


def test_a_file_that_changes_while_it_is_read_is_read_again(places: tuple[Callable[[], Storage], Place]) -> None:
    """Replaced or overwritten: the reading ends with an error that is retried, and never mixes two versions."""
    opened, place = places
    key, old, new = "+49 301.wav", b"a" * (3 << 20), b"b" * (3 << 20)
    place(key, old)
    files = StorageFiles(opened())
    found = files.stat(key)
    assert found is not None
    blocks = files.read(key, etag=found[1])
    begin = next(blocks)
    cast("Generator[bytes]", blocks).close()
    place(key, new)
    with pytest.raises(SourceError, match=r"^changed") as fault:
        list(files.read(key, len(begin), etag=found[1]))
    assert fault.value.retryable
    found = files.stat(key)
    assert found is not None
    assert b"".join(files.read(key, etag=found[1])) == new


def test_a_storage_that_reads_keys_of_its_own_alone_still_refuses_others(beside: LocalStorage) -> None:
    """A plug-in without the new methods gets only keys that it promised to take."""

    class Older:
        """What a storage had to have before."""

        url = "older:"
        begin, abort, uploads, list = beside.begin, beside.abort, beside.uploads, beside.list
        stat, read, delete, check = beside.stat, beside.read, beside.delete, beside.check

    files = StorageFiles(Older())
    assert sizes_of(files, "calls/1.wav") == [4]
    with pytest.raises(SourceRefused):
        files.stat("+49301234567.wav")


def test_our_own_objects_keep_the_strict_rule(places: tuple[Callable[[], Storage], Place]) -> None:
    """What is written, deleted and listed by this software never has such a key."""
    opened, place = places
    place("+49301234567.wav", b"x")
    storage = opened()
    for use in (storage.stat, storage.delete, storage.begin):
        with pytest.raises(StorageRefused):
            use("+49301234567.wav")
    with pytest.raises(ObjectMissing):
        storage.stat("calls/1.wav")
