from __future__ import annotations

import io
import wave
from array import array

from hypothesis import given
from hypothesis import strategies as st

from demo import speech


def sound(name: str, frames: int, rate_hz: int = 8_000) -> bytes:
    return b"".join(speech.wav_blocks(name, frames, rate_hz))


@given(frames=st.integers(0, 100_000), rate_hz=st.sampled_from([8_000, 16_000]))
def test_a_wav_file_is_exactly_as_long_as_asked_for(frames: int, rate_hz: int) -> None:
    """Frames decide the bytes, and a reader of WAV files finds them all."""
    body = sound("any", frames, rate_hz)
    assert len(body) == speech.wav_bytes(frames)
    with wave.open(io.BytesIO(body)) as reader:
        assert reader.getparams()[:4] == (1, 2, rate_hz, frames)
        assert len(reader.readframes(frames)) == 2 * frames


def test_blocks_are_bounded() -> None:
    """A long recording comes in blocks that fit into memory many times."""
    sizes = [len(block) for block in speech.wav_blocks("long", 3_000_000, 8_000)]
    assert sum(sizes) == speech.wav_bytes(3_000_000)
    assert set(sizes[:-1]) == {speech.BLOCK_BYTES}
    assert sizes[-1] <= speech.BLOCK_BYTES


def test_the_name_decides_the_sound() -> None:
    """A name always gives the same recording, another name gives another recording."""
    assert sound("a", 80_000) == sound("a", 80_000)
    assert sound("a", 80_000) != sound("b", 80_000)


def test_it_has_the_rhythm_of_speech() -> None:
    """Loud syllables and quiet pauses take turns, and nothing clips."""
    samples = array("h", sound("rhythm", 20 * 8_000)[speech.HEADER_BYTES :])
    peaks = [max(map(abs, samples[begin : begin + 400])) for begin in range(0, len(samples), 400)]
    loud = sum(peak > 2_000 for peak in peaks) / len(peaks)
    quiet = sum(peak <= speech.LINE_NOISE for peak in peaks) / len(peaks)
    assert loud > 0.5
    assert quiet > 0.1
    assert max(peaks) <= speech.LOUDEST
