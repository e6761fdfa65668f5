"""Chance that is the same everywhere: bits of a named PCG64 stream and plain arithmetic on them.

A seed sequence and the raw words of a bit generator are promised to stay as they are from one numpy to the next; the
distributions of `Generator` are not. A stream is named by what it is for, so that a new item, place or purpose takes
nothing from another's stream.
"""

from zlib import crc32

import numpy as np
from numpy.random import PCG64, SeedSequence
from numpy.typing import NDArray


class Chance:
    """Draws from one named stream, one after the other."""

    def __init__(self, seed: int, *names: str) -> None:
        self._stream = _stream(seed, *names)

    def between(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        return low + self._word() % (high - low + 1)

    def share(self) -> float:
        """Draw a number from 0 up to, not including, 1."""
        return (self._word() >> 11) / 2**53

    def _word(self) -> int:
        return int(self._stream.random_raw())


def words(seed: int, *names: str, count: int) -> NDArray[np.uint64]:
    """Draw the first `count` words of a named stream, 64 random bits each; more words later leave these as they are."""
    return np.asarray(_stream(seed, *names).random_raw(count), dtype=np.uint64)


def _stream(seed: int, *names: str) -> PCG64:
    return PCG64(SeedSequence([seed, *(crc32(name.encode()) for name in names)]))
