from __future__ import annotations

import hashlib
import threading

from hypothesis import given
from hypothesis import strategies as st

from archive.hashing import BLOCKS_AHEAD, SMALL_BYTES, Digest, Hasher

SIZES = st.lists(st.sampled_from([0, 1, SMALL_BYTES - 1, SMALL_BYTES, 3 * SMALL_BYTES]), max_size=3 * BLOCKS_AHEAD)


@given(st.lists(SIZES, min_size=1, max_size=3))
def test_every_file_has_its_hash(files: list[list[int]]) -> None:
    """For all blocks, also small blocks after large blocks, and while blocks of other files are waiting."""
    bodies = [
        [bytes([number, place % 256]) * size for place, size in enumerate(sizes)] for number, sizes in enumerate(files)
    ]
    with Hasher() as hasher:
        digests: list[Digest] = []
        for blocks in bodies:
            digests.append(hasher.begin())
            for block in blocks:
                digests[-1].update(block)
        found = [digest.hexdigest() for digest in digests]
    assert found == [hashlib.sha256(b"".join(blocks)).hexdigest() for blocks in bodies]


def test_the_thread_ends_with_its_files() -> None:
    """Also if the hash is never requested."""
    before = threading.active_count()
    with Hasher() as hasher:
        hasher.begin().update(bytes(SMALL_BYTES))
    assert threading.active_count() == before
