"""Recordings of telephone calls as real WAV files: speech-like sound of an exact length, made fast.

A set of syllables is synthesised once: a glottal pulse train and noise through formant resonators (D. H. Klatt,
"Software for a cascade/parallel formant synthesizer", JASA 67, 1980). A call is then assembled from their bytes:
two voices that take turns, words, pauses, line noise. PCM 16 bit, one channel, little-endian.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle
from random import Random

BLOCK_BYTES = 1 << 20
FRAME_BYTES = 2
HEADER_BYTES = 44
LOUDEST = 12_000
LINE_NOISE = 40

VOWELS_HZ = {
    "a": (800, 1300, 2600),
    "e": (500, 1900, 2550),
    "i": (300, 2300, 3000),
    "o": (500, 900, 2450),
    "u": (330, 800, 2250),
}
FORMANT_WIDTHS_HZ = (80, 110, 170)
ONSETS = ("", "s", "t")
"""How a syllable begins: with the vowel, with a hiss, or with a burst."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker: `pitch_hz` of the vocal cords, and how much shorter the throat is than a man's."""

    pitch_hz: float
    formant_scale: float


AGENT = Voice(pitch_hz=205, formant_scale=1.15)
CALLER = Voice(pitch_hz=118, formant_scale=1.0)


def wav_bytes(frames: int) -> int:
    """Return the size of a WAV file with that many frames, with its header."""
    return HEADER_BYTES + frames * FRAME_BYTES


def wav_blocks(name: str, frames: int, rate_hz: int) -> Iterator[bytes]:
    """Yield a whole WAV file in blocks of at most BLOCK_BYTES; the same name gives the same conversation."""
    yield from _blocks(chain([_header(frames, rate_hz)], _conversation(Random(name), rate_hz)), wav_bytes(frames))


def _header(frames: int, rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(FRAME_BYTES)
        sound.setframerate(rate_hz)
        sound.setnframes(frames)
        sound.writeframesraw(b"")
        # Read before close(), which would change the length to the zero bytes that were written.
        return buffer.getvalue()


def _blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut endless pieces to exactly `size` bytes, joined to blocks."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= min(BLOCK_BYTES, size):
            block = bytes(pending[: min(BLOCK_BYTES, size)])
            del pending[: len(block)]
            size -= len(block)
            yield block
            if not size:
                return


def _conversation(random: Random, rate_hz: int) -> Iterator[bytes]:
    """Yield two voices that take turns, without end."""
    noise = _line_noise(rate_hz)

    def pause(shortest_seconds: float, longest_seconds: float) -> bytes:
        frames = int(rate_hz * random.uniform(shortest_seconds, longest_seconds))
        begin = random.randrange(len(noise) // FRAME_BYTES - frames) * FRAME_BYTES
        return noise[begin : begin + frames * FRAME_BYTES]

    yield pause(0.4, 0.9)
    for voice in cycle((AGENT, CALLER)):
        syllables = _syllables(voice, rate_hz)
        for _word in range(random.randint(3, 14)):
            yield b"".join(random.choices(syllables, k=random.randint(1, 4)))
            yield pause(0.02, 0.12)
        yield pause(0.3, 1.1)


@cache
def _line_noise(rate_hz: int) -> bytes:
    random = Random(rate_hz)
    return _pcm([random.randint(-LINE_NOISE, LINE_NOISE) for _ in range(2 * rate_hz)])


@cache
def _syllables(voice: Voice, rate_hz: int) -> tuple[bytes, ...]:
    """Make every onset with every vowel, each a little higher or lower than the voice."""
    random = Random(f"{voice}/{rate_hz}")
    return tuple(_syllable(voice, onset, vowel, rate_hz, random) for onset in ONSETS for vowel in VOWELS_HZ)


def _syllable(voice: Voice, onset: str, vowel: str, rate_hz: int, random: Random) -> bytes:
    frames = int(rate_hz * random.uniform(0.12, 0.24))
    sound = _source(voice.pitch_hz * random.uniform(0.88, 1.15), onset, frames, rate_hz, random)
    for formant_hz, width_hz in zip(VOWELS_HZ[vowel], FORMANT_WIDTHS_HZ, strict=True):
        sound = _resonate(sound, formant_hz * voice.formant_scale, width_hz, rate_hz)
    shaped = [value * math.sin(math.pi * n / frames) ** 0.5 for n, value in enumerate(sound)]
    scale = LOUDEST / max(map(abs, shaped))
    return _pcm([round(value * scale) for value in shaped])


def _pcm(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def _source(pitch_hz: float, onset: str, frames: int, rate_hz: int, random: Random) -> list[float]:
    """Make the sound of throat and tongue: noise of the onset, then pulses of falling pitch."""
    onset_frames = int(frames * {"": 0, "s": 0.35, "t": 0.12}[onset])
    sound = [random.uniform(-0.3, 0.3) for _ in range(onset_frames)]
    phase = 0.0
    for n in range(frames - onset_frames):
        phase += pitch_hz * (1 - 0.15 * n / frames) / rate_hz
        pulse = 1.0 if phase >= 1 else 0.0
        phase %= 1
        sound.append(pulse + random.uniform(-0.01, 0.01))
    return sound


def _resonate(sound: list[float], centre_hz: float, width_hz: float, rate_hz: int) -> list[float]:
    """Klatt's digital resonator: y[n] = A x[n] + B y[n-1] + C y[n-2]."""
    c = -math.exp(-2 * math.pi * width_hz / rate_hz)
    b = 2 * math.exp(-math.pi * width_hz / rate_hz) * math.cos(2 * math.pi * centre_hz / rate_hz)
    a = 1 - b - c
    last = before = 0.0
    shaped = []
    for value in sound:
        last, before = a * value + b * last + c * before, last
        shaped.append(last)
    return shaped
