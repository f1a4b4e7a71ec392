"""The receiving side against a sender that follows the contract, and against senders that do not."""

from __future__ import annotations

import errno
import os
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, NoReturn

import httpx
import pytest
import volumes
from fake_sender import AUDIENCE, BLOCK_BYTES, ISSUER, RECEIPT_KEY, TOKEN, TRANSFER_KEY, Answer, FakeSender, running
from pyrage import x25519
from wrong_clocks import set_wrong

from portability.api.errors import BadInput, PortabilityError
from portability.trust.signing import ClockSkew, sign
from receiver import receive as receiving
from receiver.faults import (
    ArchiveRefused,
    ArchiveTooLarge,
    BadStatement,
    NoRoom,
    SenderRefused,
    SenderUnavailable,
    StatementExpired,
    TransferChanged,
    WrongAudience,
    WrongKey,
    WrongList,
)
from receiver.fetch import decryption, papers, statement
from receiver.fetch import download as fetching
from receiver.fetch import sender as sending_side
from receiver.fetch.download import GOES, FetchPatience
from receiver.receive import Received, ReceivingParty, receive
from receiver.verify import unpack as unpacking

MIB = 1 << 20
OURS, FOREIGN = x25519.Identity.generate(), x25519.Identity.generate()
RECIPIENT = ReceivingParty(identities=[OURS], audience=AUDIENCE, issuer=ISSUER, receipt_key=RECEIPT_KEY)
SOUND = os.urandom(2 * MIB)
VOLUMES = 3


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An archive of three volumes of 2 MiB each."""
    folder = tmp_path_factory.mktemp("zips")
    of = volumes.envelope(profile="portability")
    members = {"calls/recordings/c1.wav": (SOUND, "audio/wav")}
    paths, sealed = [], list[Any]()
    for number in range(1, VOLUMES + 1):
        closing = volumes.closing_document(of, number, sealed) if number == VOLUMES else None
        path, volume = volumes.write_volume(folder, number, of=of, members=members, closing=closing)
        paths.append(path)
        sealed.append(volume)
    return paths


@contextmanager
def sending(zips: list[Path], **otherwise: Any) -> Iterator[FakeSender]:
    with running(FakeSender(zips, OURS.to_public(), **otherwise)) as sender:
        yield sender


def received(sender: FakeSender, folder: Path, recipient: ReceivingParty = RECIPIENT, **options: Any) -> Received:
    return receive(sender.url, folder / "in", recipient, patience=FetchPatience(pause_seconds=0), **options)


def refused(
    sender: FakeSender, folder: Path, kind: type[PortabilityError], recipient: ReceivingParty = RECIPIENT
) -> None:
    """It is refused with this error, the sender gets its code, and nothing was unpacked."""
    with pytest.raises(kind):
        received(sender, folder, recipient)
    assert [(one["status"], one["code"]) for one in sender.receipts] == [("refused", kind.code)]
    assert not list((folder / "in").glob("archive/export*"))


def test_a_transfer_is_received_and_receipted(zips: list[Path], tmp_path: Path) -> None:
    """All volumes as their issuer signed them, unpacked, and a receipt over the statement; nothing else stays."""
    with sending(zips) as sender:
        result = received(sender, tmp_path)

    target = tmp_path / "in"
    assert [path.read_bytes() for path in result.volumes] == [path.read_bytes() for path in zips]
    assert sorted(path.name for path in (target / "volumes").iterdir()) == [path.name for path in zips]
    kept = ["archive", "offer.json", "proofs", "receipt.jwt", "transfer.jwt", "volumes", "volumes.json"]
    assert sorted(path.name for path in target.iterdir()) == kept
    for path, folder in zip(zips, result.unpacked.folders, strict=True):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                assert (folder.parent / name).read_bytes() == archive.read(name)
    (receipt,) = sender.receipts
    expected = {"iss": AUDIENCE, "aud": ISSUER, "status": "received", "code": None, "volumes": VOLUMES}
    assert receipt.items() >= {**expected, "possession": sender.possession()}.items()
    assert result.receipted
    assert {path.stat().st_mode & 0o077 for path in target.rglob("*")} == {0}


def test_twice_is_once(zips: list[Path], tmp_path: Path) -> None:
    """The second run fetches nothing and sends no second receipt."""
    with sending(zips) as sender:
        received(sender, tmp_path)
        before = sender.sent_bytes.copy()
        result = received(sender, tmp_path)

    assert result.receipted
    assert sender.sent_bytes == before
    assert len(sender.receipts) == 1


def test_a_persons_own_link_needs_no_keys(zips: list[Path], tmp_path: Path) -> None:
    """Without a transfer the volumes are ZIPs; they are verified all the same."""
    with running(FakeSender(zips, None)) as sender:
        result = received(sender, tmp_path, ReceivingParty())

    assert len(result.unpacked.folders) == VOLUMES
    assert (result.statement, result.receipted, sender.receipts) == (None, False, [])


def cutting(after: int, times: int) -> Callable[[Answer], None]:
    left = [times]

    def cut(answer: Answer) -> None:
        if left[0] > 0 and len(answer.body) > after:
            left[0] -= 1
            answer.cut_after = after

    return cut


def test_a_cut_download_continues_where_it_ended(zips: list[Path], tmp_path: Path) -> None:
    """By Range and If-Range, on the same claim; hardly a byte comes twice."""
    with sending(zips, tamper=cutting(700_000, 6)) as sender:
        received(sender, tmp_path)

    total = sum(map(len, sender.sent))
    assert sender.sent_bytes.total() <= 1.05 * total
    assert sender.claimed == dict.fromkeys(range(1, VOLUMES + 1), 1)
    resumed = [(asked, if_range) for _, asked, if_range in sender.asked if asked]
    assert len(resumed) == 6
    assert all(if_range for _, if_range in resumed)


def test_a_killed_run_continues(zips: list[Path], tmp_path: Path) -> None:
    """What came stays on disk with its claim; the next run asks for the rest, and only for that."""
    with sending(zips, tamper=cutting(700_000, 10**6)) as sender:
        counted: list[int] = []

        def killed(size: int) -> None:
            counted.append(size)
            if sum(counted) > MIB:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            received(sender, tmp_path, began=lambda _step, _total: killed)
        parts = {path.name: path.stat().st_size for path in (tmp_path / "in" / "volumes").glob("*.part")}
        asked = len(sender.asked)
        sender.tamper = lambda _answer: None
        received(sender, tmp_path)

    assert max(parts.values()) > 0
    begins = {number: begin for number, begin, _ in sender.asked[asked:]}
    sizes = {number: parts.get(f"{path.name}.age.part", 0) for number, path in enumerate(zips, 1)}
    assert begins == {number: f"bytes={size}-" if size else None for number, size in sizes.items()}
    assert max(sender.claimed.values()) == 1
    assert len(sender.receipts) == 1


def test_a_claim_that_has_ended_is_renewed(zips: list[Path], tmp_path: Path) -> None:
    """A claim lasts for a while; the link for longer."""
    with sending(zips) as sender:

        def end(answer: Answer) -> None:
            if sender.claimed[answer.number] == 1:
                answer.cut_after = 700_000
                sender.claims_open.discard(f"claim-{answer.number}-1")

        sender.tamper = end
        received(sender, tmp_path)

    assert sender.claimed == dict.fromkeys(range(1, VOLUMES + 1), 2)
    assert sender.sent_bytes.total() <= 1.05 * sum(map(len, sender.sent))


def test_a_sender_without_ranges_works(zips: list[Path], tmp_path: Path) -> None:
    """It begins again from the beginning each time."""
    with sending(zips, knows_ranges=False, tamper=cutting(700_000, 2)) as sender:
        assert received(sender, tmp_path).receipted


def test_another_version_begins_anew(zips: list[Path], tmp_path: Path) -> None:
    """A part of something else is thrown away, not continued."""
    folder = tmp_path / "in" / "volumes"
    folder.mkdir(parents=True)
    (folder / f"{zips[0].name}.age.part").write_bytes(b"x" * 1000)
    (folder / f"{zips[1].name}.age.part").write_bytes(b"x" * 10 * MIB)
    with sending(zips) as sender:
        assert received(sender, tmp_path).receipted


def test_a_link_that_is_revoked_half_way_ends_it(zips: list[Path], tmp_path: Path) -> None:
    """The sender says no: what came stays, nothing is unpacked, and no receipt is sent."""
    with sending(zips) as sender:

        def revoke(answer: Answer) -> None:
            answer.cut_after = 700_000
            sender.revoked = True

        sender.tamper = revoke
        with pytest.raises(SenderRefused):
            received(sender, tmp_path)

    assert sender.receipts == []
    assert not (tmp_path / "in" / "archive").exists()


@contextmanager
def sending_from_storage(zips: list[Path], refusals: int) -> Iterator[FakeSender]:
    """A sender that redirects to a storage on another port, which answers 403 as often to requests for each volume."""
    left = Counter(dict.fromkeys(range(1, VOLUMES + 1), refusals))

    def refuse(answer: Answer) -> None:
        if left[answer.number]:
            left[answer.number] -= 1
            answer.status = 403

    with sending(zips) as sender, sending(zips, tamper=refuse, sent=sender.sent) as storage:
        storage.claims_open.add("stored")

        def redirect(answer: Answer) -> None:
            answer.status, answer.body = 302, b""
            place = f"{storage.origin}/d/{TOKEN}/volumes/{answer.number}?claim=stored"
            answer.headers = {"Location": place, "Content-Length": "0"}

        sender.tamper = redirect
        yield sender


def test_a_refusal_of_the_storage_is_no_end_of_the_link(zips: list[Path], tmp_path: Path) -> None:
    """An address of object storage lasts for minutes by the clock of its machine: the same claim leads to a new one."""
    with sending_from_storage(zips, refusals=2) as sender:
        assert received(sender, tmp_path).receipted
    assert sender.claimed == dict.fromkeys(range(1, VOLUMES + 1), 1)


def test_a_storage_that_always_refuses_is_named(zips: list[Path], tmp_path: Path) -> None:
    """The sender has refused nothing: the run may be repeated, and takes no more of the link's downloads."""
    with sending_from_storage(zips, refusals=1000) as sender:
        for _ in range(2):
            with pytest.raises(SenderUnavailable, match="the sender's storage refuses: status 403"):
                received(sender, tmp_path)
    assert max(sender.claimed.values()) == 1


def test_a_sender_that_is_away_is_waited_for_and_then_not(zips: list[Path], tmp_path: Path) -> None:
    """Some goes without a byte; then the run ends, and may be started again."""
    with sending(zips, tamper=lambda answer: setattr(answer, "status", 503)) as sender:
        with pytest.raises(SenderUnavailable) as caught:
            received(sender, tmp_path)
        assert caught.value.retryable
        assert GOES <= len(sender.asked) <= VOLUMES * GOES
    with pytest.raises(SenderUnavailable):
        receive(sender.url, tmp_path / "in", RECIPIENT)


@pytest.mark.parametrize("error", [TransferChanged, KeyboardInterrupt])
def test_a_silent_volume_keeps_no_run_that_ends(
    zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Another volume is refused, or the user interrupts: threads that wait for bytes end at once, not in a minute."""
    seconds = 20
    monkeypatch.setattr(sending_side, "TIMEOUT", httpx.Timeout(seconds))
    some, over, sizes = Event(), Event(), list[int]()

    def arrived(size: int) -> None:
        sizes.append(size)
        if sum(sizes) == VOLUMES * BLOCK_BYTES:
            some.set()

    def ending(*_: object, **__: object) -> NoReturn:
        some.wait(seconds)
        raise error("it ends")

    monkeypatch.setattr(receiving, "wait", ending)
    with sending(zips, on_sent=lambda: over.wait(2 * seconds)) as sender:
        begun = time.monotonic()
        with pytest.raises(error):
            received(sender, tmp_path, began=lambda _step, _total: arrived)
        spent = time.monotonic() - begun
        over.set()
    assert spent < seconds / 2


class WatchedEvent(Event):
    """Records how long it would have waited, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def test_a_busy_sender_is_given_its_time(zips: list[Path], tmp_path: Path) -> None:
    """The sender says how long (RFC 9110 section 10.2.3); more than two minutes is ignored, as are dates."""
    asked: dict[int, int] = {}
    stated = {1: "7", 2: "9" * 5000, 3: "Fri, 31 Dec 1999 23:59:59 GMT"}

    def busy(answer: Answer) -> None:
        asked[answer.number] = asked.get(answer.number, 0) + 1
        if asked[answer.number] == 1:
            answer.status, answer.headers["Retry-After"] = 429, stated.get(answer.number, "99999")

    watched = WatchedEvent()
    with sending(zips, tamper=busy) as sender:
        result = receive(sender.url, tmp_path / "in", RECIPIENT, patience=FetchPatience(watched, 0))

    assert result.receipted
    assert sorted(filter(None, watched.waits)) == [7, 120]


def test_two_runs_do_not_share_a_folder(zips: list[Path], tmp_path: Path) -> None:
    """The second one reports it at once, and does not affect the first."""
    with sending(zips) as sender:

        def second(_step: str, _total: int) -> Callable[[int], object]:
            with pytest.raises(BadInput, match="another run"):
                received(sender, tmp_path)
            return lambda _: None

        assert received(sender, tmp_path, began=second).receipted


def test_the_wrong_key_is_reported(zips: list[Path], tmp_path: Path) -> None:
    """Volumes for another identity: refused with `wrong_key`, and with the right one everything succeeds."""
    with sending(zips) as sender:
        refused(sender, tmp_path, WrongKey, replace(RECIPIENT, identities=[FOREIGN]))
        before = sender.sent_bytes.copy()
        assert received(sender, tmp_path).receipted
        assert sum((sender.sent_bytes - before).values()) < sum(map(len, sender.sent))


def test_another_audience_is_reported(zips: list[Path], tmp_path: Path) -> None:
    """Nothing is downloaded that is addressed to another recipient, and the refusal is not in that recipient's name."""
    with sending(zips) as sender:
        refused(sender, tmp_path, WrongAudience, replace(RECIPIENT, audience="third.example"))
        assert sender.asked == []
        assert [receipt["iss"] for receipt in sender.receipts] == ["third.example"]


def altered(token: str) -> str:
    head, payload, signature = token.split(".")
    return f"{head}.{payload[:-4]}{'A' if payload[-4] != 'A' else 'B'}{payload[-3:]}.{signature}"


STATEMENTS: dict[str, dict[str, Any]] = {
    "altered": {"statement": altered},
    "signed by another key": {"key": volumes.new_key("stranger")},
    "of another typ": {"statement": lambda _: sign({"iat": 1}, TRANSFER_KEY, typ="portability-link+jwt")},
    "no token": {"statement": lambda _: "<html>"},
    "another issuer": {"claims": {"iss": "https://else.example"}},
    "expired": {"claims": {"exp": 1_700_000_001}},
    "without an end": {"claims": {"exp": None}},
    "without consent": {"claims": {"consent": ""}},
    "a copy to read": {"claims": {"profile": "access"}},
    "another transfer": {"claims": {"jti": "trf_other"}},
    "without volumes": {"listed_in_statement": True, "claims": {"volumes": []}},
    "volumes that are numbers": {"listed_in_statement": True, "claims": {"volumes": [7]}},
    "a name with a path": {
        "listed_in_statement": True,
        "claims": {"volumes": [{"number": 1, "name": "../../x.zip", "bytes": 1, "sha256": "0" * 64, "encrypted": {}}]},
    },
    "a list without hash": {"claims": {"list": {"volumes": 3, "bytes": 100}}},
    "a list that is too large": {"claims": {"list": {"volumes": 3, "bytes": 1 << 40, "sha256": "0" * 64}}},
    "a list without volumes": {"claims": {"list": {"volumes": 0, "bytes": 100, "sha256": "0" * 64}}},
    "a list without id": {"claims": {"closing": None}},
    "a nonce that is a word": {"claims": {"nonce": "nonsense"}},
    "a subject with NUL": {"claims": {"sub": "pse_1\0"}},
    "a consent with a command of a terminal": {"claims": {"consent": "con_\x1b[2J"}},
    "a revision that no database stores": {"claims": {"revision": 1 << 31}},
    "a list of more volumes than a database counts": {
        "claims": {"list": {"volumes": 1 << 31, "bytes": 1, "sha256": "0" * 64}}
    },
}


@pytest.mark.requirement("R39", "R46")
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_bad_statement_is_refused(zips: list[Path], tmp_path: Path, name: str) -> None:
    """Nothing is fetched on a word that does not hold."""
    with sending(zips, **STATEMENTS[name]) as sender, pytest.raises(BadStatement):
        received(sender, tmp_path)
    assert sender.asked == []
    assert sender.receipts == []


def test_a_statement_of_the_future_names_the_clocks(zips: list[Path], tmp_path: Path) -> None:
    """The difference is in the message, in seconds: it is a clock, not a forgery."""
    ahead = int(time.time()) + 1000
    with sending(zips, claims={"iat": ahead}) as sender:
        with pytest.raises(ClockSkew, match=rf"(999|1000) seconds in the future: iat is {ahead}.*300 seconds"):
            received(sender, tmp_path)
        assert (sender.asked, sender.receipts) == ([], [])


def test_a_statement_with_the_list_in_it_is_taken(zips: list[Path], tmp_path: Path) -> None:
    """A sender of the first release: no separate list, and no proof in the receipt."""
    with sending(zips, listed_in_statement=True) as sender:
        assert received(sender, tmp_path).receipted
    (receipt,) = sender.receipts
    assert (receipt["volumes"], "possession" in receipt) == (VOLUMES, False)


LISTS: dict[str, Callable[[bytes], bytes]] = {
    "a byte more": lambda document: document + b" ",
    "a byte less": lambda document: document[:-1],
    "another byte": lambda document: document.replace(b"zip.age", b"zip.agE", 1),
    "nothing": lambda _: b"",
}


@pytest.mark.requirement("R39", "R46")
@pytest.mark.parametrize("name", LISTS)
def test_only_the_signed_list_is_taken(zips: list[Path], tmp_path: Path, name: str) -> None:
    """Any other list: nothing is fetched, and the sender gets a refusal with its code."""
    with sending(zips, tamper_list=LISTS[name]) as sender:
        if name == "a byte more":
            with pytest.raises(SenderUnavailable, match="larger"):
                received(sender, tmp_path)
        else:
            refused(sender, tmp_path, WrongList)
        assert sender.asked == []
        sender.tamper_list = lambda document: document
        assert received(sender, tmp_path).receipted


def test_the_list_of_another_closing_is_refused(zips: list[Path], tmp_path: Path) -> None:
    """The statement names the list by its random id and its number of volumes, not only by its hash."""
    with sending(zips, claims={"closing": "another"}) as sender:
        refused(sender, tmp_path, WrongList)


def test_a_receipt_is_sent_when_the_link_has_ended(zips: list[Path], tmp_path: Path) -> None:
    """Downloaded in time, and killed before the receipt: the next run sends it from the files and proofs it has."""
    with sending(zips, receipt_status=503, claims={"exp": int(time.time()) + 2}) as sender:
        with pytest.raises(SenderUnavailable):
            received(sender, tmp_path)
        refused_before = len(sender.receipts)
        before = sender.sent_bytes.copy()
        sender.revoked, sender.receipt_status = True, 204
        assert received(sender, tmp_path).receipted
    assert sender.sent_bytes == before
    assert sender.receipts[refused_before]["possession"] == sender.possession()


def test_without_all_files_a_dead_link_is_refused(zips: list[Path], tmp_path: Path) -> None:
    """A volume that is not here cannot be proven, and no receipt is sent."""
    with sending(zips, receipt_status=503) as sender:
        with pytest.raises(SenderUnavailable):
            received(sender, tmp_path)
        before = len(sender.receipts)
        (tmp_path / "in" / "volumes" / zips[0].name).unlink()
        sender.revoked, sender.receipt_status = True, 204
        with pytest.raises(SenderRefused):
            received(sender, tmp_path)
    assert len(sender.receipts) == before


def test_a_lost_proof_is_made_again(zips: list[Path], tmp_path: Path) -> None:
    """The encrypted file is gone once it is decrypted: only that volume is fetched once more."""
    with sending(zips, receipt_status=503) as sender:
        with pytest.raises(SenderUnavailable):
            received(sender, tmp_path)
        (tmp_path / "in" / "proofs" / f"{zips[1].name}.sha256").unlink()
        asked, sender.receipt_status = len(sender.asked), 204
        assert received(sender, tmp_path).receipted
    assert [number for number, _, _ in sender.asked[asked:]] == [2]
    assert sender.receipts[-1]["possession"] == sender.possession()


@pytest.mark.parametrize("name", ["statement_url", "receipt_url", "jwks_url", "volumes_url"])
def test_addresses_of_others_are_not_contacted(zips: list[Path], tmp_path: Path, name: str) -> None:
    """A sender cannot make us ask, or tell, a server of its choice."""
    with sending(zips, links={name: "http://127.0.0.1:9/"}) as sender, pytest.raises(SenderUnavailable):
        received(sender, tmp_path)
    assert sender.asked == []


def flipped(data: bytes | memoryview, at: int) -> bytes:
    return bytes(data[:at]) + bytes([data[at] ^ 1]) + bytes(data[at + 1 :])


def test_a_changed_byte_is_reported(zips: list[Path], tmp_path: Path) -> None:
    """Fetched twice, changed twice: the sender has to answer for it."""

    def change(answer: Answer) -> None:
        answer.body = flipped(answer.body, 1000) if answer.number == 2 else answer.body

    with sending(zips, tamper=change) as sender:
        refused(sender, tmp_path, TransferChanged)
        assert [number for number, _, _ in sender.asked].count(2) == 2


def test_a_byte_that_changed_on_the_way_is_fetched_again(zips: list[Path], tmp_path: Path) -> None:
    """Once is an accident."""
    times = [1]

    def change(answer: Answer) -> None:
        if times[0]:
            times[0] = 0
            answer.body = flipped(answer.body, 1000)

    with sending(zips, tamper=change) as sender:
        assert received(sender, tmp_path).receipted


def longer(answer: Answer) -> None:
    answer.body = bytes(answer.body) + b"more"
    answer.headers["Content-Length"] = str(len(answer.body))


def of_another_size(answer: Answer) -> None:
    if "Content-Range" in answer.headers:
        answer.headers["Content-Range"] = answer.headers["Content-Range"].partition("/")[0] + "/9"
    else:
        answer.cut_after = 700_000


def unsatisfiable(answer: Answer) -> None:
    if answer.status == 206:
        answer.status, answer.body, answer.headers = 416, b"", {"Content-Range": "bytes */9"}
    else:
        answer.cut_after = 700_000


@pytest.mark.parametrize("lie", [longer, of_another_size, unsatisfiable])
def test_lies_about_sizes_are_reported(zips: list[Path], tmp_path: Path, lie: Callable[[Answer], None]) -> None:
    """More or fewer bytes than the statement names: nothing beyond is written."""
    with sending(zips, tamper=lie) as sender:
        refused(sender, tmp_path, TransferChanged)
    assert all(path.stat().st_size <= 3 * MIB for path in (tmp_path / "in" / "volumes").iterdir())


def another_part(answer: Answer) -> None:
    if answer.status == 206:
        answer.headers["Content-Range"] = answer.headers["Content-Range"].replace("bytes ", "bytes 1")
    else:
        answer.cut_after = 700_000


def no_range(answer: Answer) -> None:
    if answer.headers.pop("Content-Range", None) is None:
        answer.cut_after = 700_000


def elsewhere(answer: Answer) -> None:
    answer.status, answer.body = 302, b""
    answer.headers = {"Location": "http://169.254.169.254/latest/meta-data"}


def in_circles(answer: Answer) -> None:
    answer.status, answer.body = 302, b""
    answer.headers = {"Location": f"?claim=claim-{answer.number}-1"}


@pytest.mark.parametrize("lie", [another_part, no_range, elsewhere, in_circles])
def test_answers_that_are_not_agreed_end_it(zips: list[Path], tmp_path: Path, lie: Callable[[Answer], None]) -> None:
    """Another range than requested, an invalid range, redirects: no receipt is sent, because it may be a proxy."""
    with sending(zips, tamper=lie) as sender, pytest.raises(SenderUnavailable):
        received(sender, tmp_path)
    assert sender.receipts == []


def plaintext(folder: Path) -> list[Path]:
    """Files of a receiving folder that are not encrypted, except the statement."""
    kept = {".age", ".jwt"}
    places = (folder / "in" / "volumes", folder / "in" / "archive")
    return [path for place in places for path in place.rglob("*") if path.is_file() and path.suffix not in kept]


def test_an_archive_that_does_not_verify_is_reported(zips: list[Path], tmp_path: Path) -> None:
    """The statement is right, and the volumes are not what the issuer signed: nothing decrypted stays (seen: 13 MB)."""
    broken = tmp_path / zips[0].name
    broken.write_bytes(zips[0].read_bytes())
    volumes.pack_again(broken, lambda files: files.update({"data/new.txt": b"x"}))
    with sending([broken, *zips[1:]]) as sender:
        refused(sender, tmp_path, ArchiveRefused)
    assert plaintext(tmp_path) == []


@pytest.mark.parametrize("claims", [{"export": "e2"}, {"sub": "somebody"}, {"profile": "switch"}])
def test_an_archive_of_another_export_is_reported(zips: list[Path], tmp_path: Path, claims: dict[str, str]) -> None:
    """What was consented to is what is taken: the signatures of archive and statement name the same."""
    with sending(zips, claims=claims) as sender:
        refused(sender, tmp_path, ArchiveRefused)


def test_an_encrypted_file_goes_after_a_kill(zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was killed when the volume was decrypted, and its encrypted file was still there: it stayed for ever."""

    def killed(*arguments: Any) -> None:
        decryption.unseal(*arguments)
        raise KeyboardInterrupt

    with sending(zips) as sender:
        with monkeypatch.context() as broken:
            broken.setattr(receiving, "unseal", killed)
            with pytest.raises(KeyboardInterrupt):
                received(sender, tmp_path)
        assert list((tmp_path / "in" / "volumes").glob("*.age"))
        received(sender, tmp_path)
    assert {path.suffix for path in (tmp_path / "in" / "volumes").iterdir()} == {".zip"}


def test_what_a_killed_run_left_half_decrypted_goes(zips: list[Path], tmp_path: Path) -> None:
    """At the start of the next run, even if that run ends before it fetches anything."""
    with sending(zips) as sender:
        received(sender, tmp_path)
        names = [path.name for path in (tmp_path / "in" / "volumes").iterdir()]
        left = tmp_path / "in" / "volumes" / f"{names[0]}.part"
        left.write_bytes(b"plaintext")
        unpacking_folder = tmp_path / "in" / "archive" / ".unpacking-x"
        unpacking_folder.mkdir()
        with pytest.raises(BadInput):
            received(sender, tmp_path, ReceivingParty(audience=AUDIENCE, issuer=ISSUER))
    assert not left.exists()
    assert not unpacking_folder.exists()


def test_data_beyond_the_free_space_is_refused(
    zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a byte of it is fetched; and before a byte is unpacked."""
    with sending(zips) as sender:
        refused(sender, tmp_path, ArchiveTooLarge, replace(RECIPIENT, most_bytes=MIB))
        fetched = len(sender.asked)
        monkeypatch.setattr(receiving, "SPARE_BYTES", 1 << 60)
        with pytest.raises(ArchiveTooLarge):
            received(sender, tmp_path)
        assert len(sender.asked) == fetched


@pytest.mark.parametrize(
    ("fault", "said", "hint"),
    [
        (errno.ENOSPC, "No space left on device", "free some space"),
        (errno.EFBIG, "File too large", "ulimit -f"),
    ],
)
def test_a_disk_that_fills_up_is_an_error(
    zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int, said: str, hint: str
) -> None:
    """Reported in one line, and not to the sender; with free space the run continues."""

    def full(*_: object) -> None:
        raise OSError(fault, said)

    with sending(zips) as sender:
        with monkeypatch.context() as patch:
            patch.setattr(unpacking, "_write_file", full)
            with pytest.raises(NoRoom, match=f"cannot write into {tmp_path}/in/archive: {said}") as raised:
                received(sender, tmp_path)
        assert hint in raised.value.hint
        assert sender.receipts == []
        assert received(sender, tmp_path).receipted


def test_encrypted_volumes_need_an_identity(zips: list[Path], tmp_path: Path) -> None:
    """Reported before anything is downloaded; it is our own fault, so the sender gets no receipt."""
    with sending(zips) as sender:
        with pytest.raises(BadInput, match="encrypted"):
            received(sender, tmp_path, replace(RECIPIENT, identities=()))
        assert (sender.asked, sender.receipts) == ([], [])


def test_a_folder_is_for_one_transfer(zips: list[Path], tmp_path: Path) -> None:
    """Another transfer needs another folder; nothing of the first is overwritten."""
    with sending(zips) as sender:
        received(sender, tmp_path)
    with sending(zips, claims={"consent": "aut_2"}) as other, pytest.raises(BadInput, match="another archive"):
        received(other, tmp_path)


def test_a_folder_is_for_one_archive_of_a_person(zips: list[Path], tmp_path: Path) -> None:
    """A later link, whose archive is refused, must not delete the archive that is here."""
    with running(FakeSender(zips, None)) as sender:
        kept = received(sender, tmp_path, ReceivingParty())
    other = tmp_path / "export9-001.zip"
    other.write_bytes(b"no archive")
    with running(FakeSender([other], None)) as sender, pytest.raises(BadInput, match="another archive"):
        received(sender, tmp_path, ReceivingParty())
    assert [path.read_bytes() for path in kept.volumes] == [path.read_bytes() for path in zips]
    assert all(folder.is_dir() for folder in kept.unpacked.folders)


@pytest.mark.parametrize("claims", [{"consent": "aut_2", "aud": "else.example"}, {"exp": 1}], ids=["other", "bad"])
def test_a_refused_link_leaves_an_earlier_transfer(zips: list[Path], tmp_path: Path, claims: dict[str, Any]) -> None:
    """Neither a statement for another recipient nor an invalid one deletes the transfer that the folder is for."""
    with sending(zips) as sender:
        kept = received(sender, tmp_path)
    with sending(zips, claims=claims) as other, pytest.raises(PortabilityError):
        received(other, tmp_path)
    assert all(path.exists() for path in (*kept.volumes, *kept.unpacked.folders))


LATER: dict[str, tuple[type[PortabilityError], dict[str, Any]]] = {
    "the receipts have ended": (StatementExpired, {}),
    "a wrong audience": (WrongAudience, {"audience": "othr.example"}),
    "a wrong issuer": (BadStatement, {"issuer": "https://othr.example"}),
    "a lower limit": (ArchiveTooLarge, {"most_bytes": MIB}),
    "a key that the sender has revoked": (BadStatement, {"jwks": volumes.key_set()}),
}


@pytest.mark.parametrize("name", LATER)
def test_what_was_received_stays_if_the_command_is_repeated(
    zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A later refusal is about the time, the papers or an option, and not about the archive, which was verified."""
    kind, options = LATER[name]
    with sending(zips, claims={"exp": int(time.time()) + 60}) as sender:
        kept = received(sender, tmp_path)
        if not options:
            sender.revoked = True
            monkeypatch.setattr(papers, "LATE", timedelta(days=-1))
        with pytest.raises(kind):
            received(sender, tmp_path, replace(RECIPIENT, **options))
    assert [path.read_bytes() for path in kept.volumes] == [path.read_bytes() for path in zips]
    assert all(folder.is_dir() for folder in kept.unpacked.folders)


@pytest.mark.parametrize("options", [{}, {"most_bytes": MIB}], ids=["expired", "too large"])
def test_what_was_not_verified_goes_with_the_transfer(
    zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """A run was killed before the archive was verified: the refusal of the next run leaves nothing decrypted."""
    with sending(zips) as sender:
        with monkeypatch.context() as patched:
            patched.setattr(receiving, "unpack", _killed)
            with pytest.raises(KeyboardInterrupt):
                received(sender, tmp_path)
        assert plaintext(tmp_path)
        if not options:
            set_wrong(monkeypatch, statement, days=60_000)
        with pytest.raises((StatementExpired, ArchiveTooLarge)):
            received(sender, tmp_path, replace(RECIPIENT, **options))
    assert plaintext(tmp_path) == []


def _killed(*_: object, **_options: object) -> NoReturn:
    raise KeyboardInterrupt


def test_a_receipt_that_is_not_taken_is_an_error(zips: list[Path], tmp_path: Path) -> None:
    """The data is here and stays; the next run only sends the receipt."""
    with sending(zips, receipt_status=422) as sender:
        with pytest.raises(SenderRefused, match="422"):
            received(sender, tmp_path)
        before = sender.sent_bytes.copy()
        sender.receipt_status = 204
        assert received(sender, tmp_path).receipted
        assert sender.sent_bytes == before
    assert len({one["jti"] for one in sender.receipts}) == 2


@pytest.mark.parametrize(
    ("problem", "named"),
    [
        (b'{"code": "clock_skew", "detail": "free words"}', "status 422, code clock_skew$"),
        (b'{"code": "No Code"}', "status 422$"),
        (b'{"code": 7}', "status 422$"),
        (b"<html>", "status 422$"),
        (b'"x"' + b" " * 100_000, "status 422$"),
    ],
)
def test_the_reason_of_the_sender_is_named(zips: list[Path], tmp_path: Path, problem: bytes, named: str) -> None:
    """The code of its answer, and nothing that it wrote freely."""
    with (
        sending(zips, receipt_status=422, receipt_answer=problem) as sender,
        pytest.raises(SenderRefused, match=named) as caught,
    ):
        received(sender, tmp_path)
    assert "free words" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x/d/t", "http://vlint.example/d/t", "https://a:b@x/d/t", "nonsense"])
def test_other_links_are_bad_input(tmp_path: Path, url: str) -> None:
    """https, or http on this machine; the link itself is a secret and not repeated."""
    with pytest.raises(BadInput) as caught:
        receive(url, tmp_path / "in", RECIPIENT)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "landing", [{"volumes": []}, {"volumes": "x"}, {"export": None}, {"transfer": "x"}, {"transfer": {"id": 7}}]
)
def test_an_answer_that_is_no_offer_ends_it(zips: list[Path], tmp_path: Path, landing: dict[str, Any]) -> None:
    """A page that is not a landing document, or half of one."""
    with sending(zips, landing=landing) as sender, pytest.raises(SenderUnavailable):
        received(sender, tmp_path)


def test_the_claims_address_is_for_us_alone(zips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens the download: it lies on disk only while it is needed, and only its owner may read it."""
    modes: list[int] = []
    keep = fetching._keep

    def seen(part: Path, claim: Any) -> None:
        keep(part, claim)
        modes.append(fetching._state(part).stat().st_mode & 0o777)

    monkeypatch.setattr(fetching, "_keep", seen)
    with sending(zips) as sender:
        received(sender, tmp_path)
    assert set(modes) == {0o600}
    assert not list((tmp_path / "in").rglob("*.claim"))
