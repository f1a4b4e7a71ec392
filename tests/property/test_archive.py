"""Properties of every archive, not only of the examples of the unit tests."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import volumes
from examples import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archive.names import MemberNames, is_safe, safe_name
from archive.write.volume import Volume
from portability.errors import VolumeFault
from portability.trust.signing import SignatureFault, check, sign

HOSTILE = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="./\\ \x00\n:~%$", max_size=30),
    st.sampled_from(
        ["../../x", "CON", "con.txt", "LPT1.", "a/../b", "/abs", "C:\\x", "\N{GRINNING FACE}.wav", "\ud800"]
    ),
    st.lists(st.sampled_from(["a", "A", "..", ".", "", "aux", "b.wav", "B.WAV"]), max_size=6).map("/".join),
)
PATHS = st.lists(st.text(alphabet="abAB/.", min_size=1, max_size=6), max_size=30)


@pytest.mark.requirement("R36")
@given(HOSTILE)
def test_every_name_becomes_safe_once_and_for_all(name: str) -> None:
    """Safe, the same each time, and a fixed point."""
    cleaned = safe_name(name)
    assert is_safe(cleaned)
    assert safe_name(cleaned) == cleaned == safe_name(name)


@given(st.lists(HOSTILE, max_size=30) | PATHS)
def test_claimed_names_never_meet(names: list[str]) -> None:
    """All of them can be unpacked side by side where case does not count: no two equal, none below another."""
    taken = MemberNames()
    claimed = [taken.claim(name).lower() for name in names]
    assert len(set(claimed)) == len(claimed)
    assert all(is_safe(path) for path in claimed)
    assert not any(one != other and one.startswith(f"{other}/") for one in claimed for other in claimed)


@cache
def small_archive() -> bytes:
    """A complete archive of one volume, as short as possible."""
    with tempfile.TemporaryDirectory() as folder:
        members = {"calls/calls.jsonl": (volumes.LINES, "application/jsonl"), "c1.wav": (b"RIFF", "audio/wav")}
        of = volumes.envelope()
        path, _ = volumes.write_volume(Path(folder), members=members, closing=volumes.closing_document(of, 1))
        return path.read_bytes()


def is_refused(raw: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.zip"
        path.write_bytes(raw)
        return bool(volumes.codes([path]))


@pytest.mark.requirement("R38")
@settings(max_examples=examples(200))
@given(st.data())
def test_every_changed_byte_is_a_fault(data: st.DataObject) -> None:
    """Every byte of a volume is protected: a change of any byte never verifies and never crashes."""
    raw = small_archive()
    at = data.draw(st.integers(0, len(raw) - 1), label="at")
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]), label="byte")
    assert is_refused(raw[:at] + bytes([byte]) + raw[at + 1 :])


@pytest.mark.system
def test_a_flipped_bit_in_every_byte_is_a_fault(tmp_path: Path) -> None:
    """As above, for every byte; and for every bit of bytes that the signature's hash does not cover."""
    raw, path = small_archive(), tmp_path / "volume.zip"
    signature_at = raw.index(b"signature.jwt")
    survivors = []
    for at in range(len(raw)):
        for bit in range(8) if at >= signature_at - 30 else [at % 8]:
            path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :])
            if not volumes.codes([path]):
                survivors.append((at, bit))
    assert survivors == []


@settings(max_examples=examples(100))
@given(st.data())
def test_every_removed_or_inserted_run_is_a_fault(data: st.DataObject) -> None:
    """Bytes taken out, put in, or exchanged for others anywhere never verify."""
    raw = small_archive()
    begin = data.draw(st.integers(0, len(raw)), label="begin")
    end = data.draw(st.integers(begin, min(len(raw), begin + 2000)), label="end")
    new = data.draw(st.binary(max_size=60), label="new")
    assume(raw[begin:end] != new)
    assert is_refused(raw[:begin] + new + raw[end:])


@given(st.binary(max_size=300))
def test_what_is_no_archive_is_a_fault(raw: bytes) -> None:
    """For every content of a file there is an answer and no crash."""
    assert is_refused(raw)
    assert is_refused(b"PK\x03\x04" + raw)
    assert is_refused(raw + small_archive()[-22:])


@given(st.data())
def test_a_fault_at_any_block_means_no_volume(data: st.DataObject) -> None:
    """Whichever block of whichever member, or whichever write, fails: the volume cannot be sealed."""
    members = data.draw(st.lists(st.lists(st.binary(max_size=50), max_size=4), min_size=1, max_size=4), label="members")
    broken = data.draw(st.integers(0, len(members) - 1), label="member")
    at = data.draw(st.integers(0, len(members[broken])), label="block")

    def blocks(index: int) -> Iterator[bytes]:
        for position, block in enumerate(members[index]):
            if (index, position) == (broken, at):
                raise ConnectionResetError
            yield block
        if (index, len(members[index])) == (broken, at):
            raise ConnectionResetError

    volume = Volume(volumes.envelope(), 1, io.BytesIO().write)
    for index in range(broken):
        volume.add(f"{index}.bin", blocks(index), volumes.content("application/octet-stream"))
    with pytest.raises(ConnectionResetError):
        volume.add(f"{broken}.bin", blocks(broken), volumes.content("application/octet-stream"))
    with pytest.raises(VolumeFault):
        volume.seal(volumes.KEY)


@given(
    st.dictionaries(HOSTILE, st.tuples(st.binary(max_size=200), st.sampled_from(["audio/wav", "text/csv"])), max_size=6)
)
def test_whatever_goes_in_verifies(members: dict[str, tuple[bytes, str]]) -> None:
    """Any names and any bytes make a volume that verifies."""
    with tempfile.TemporaryDirectory() as folder:
        closing = volumes.closing_document(volumes.envelope(), 1)
        path, sealed = volumes.write_volume(Path(folder), members=members, closing=closing)
        assert volumes.codes([path]) == set()
        assert sealed.files == max(len(members), 1)


TOKEN = sign({"iat": 1_790_000_000}, volumes.KEY, typ="t")


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_every_character_of_a_token_counts(at: int, character: str) -> None:
    """One changed character never verifies, and never raises anything but a SignatureFault."""
    assume(TOKEN[at] != character)
    with pytest.raises(SignatureFault):
        check(TOKEN[:at] + character + TOKEN[at + 1 :], volumes.JWKS, typ="t")
