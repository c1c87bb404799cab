"""Which member of an ensemble draws which sample: by the seed and the sample's number alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draw", "drawn_integers", "draws", "seeds_of_members", "uniform_for_clusters"]

# Samples are counted within blocks: finding a sample's place among those of its member takes
# looking through the block up to it, not through all samples before.
_BLOCK = 1 << 16

# Second words of the generator's key, so that streams of one seed are apart.
_MEMBER_OF_SAMPLE, _SEED_OF_MEMBER, _ROW_OF_BOOTSTRAP, _CENTRE_OF_CLUSTER = 1, 2, 3, 4


class Draw(NamedTuple):
    """Samples that one member draws.

    Attributes
    ----------
    member : int
    start : int
        The member's own number of the first of them.
    places : ndarray of int64
        Where they go among those asked for.
    """

    member: int
    start: int
    places: NDArray[np.int64]


def draws(weights: NDArray[np.float64], seed: int, start: int, count: int) -> Iterator[Draw]:
    """Who draws the samples ``start, ..., start + count - 1``, and which of its own they are.

    The member of a sample is drawn by weight, by the seed and the number of the sample alone. A
    member's j-th sample of a block of numbers that begins at b is its own number b + j.

    Parameters
    ----------
    weights : ndarray, shape (K,)
    seed, start, count : int
    """
    ends = np.cumsum(weights)
    ends /= ends[-1]
    for block in range(start - start % _BLOCK, start + count, _BLOCK):
        stop = min(block + _BLOCK, start + count)
        u = _uniform(seed, _MEMBER_OF_SAMPLE, block, stop - block)
        members = np.searchsorted(ends, u, side="right")
        skipped = max(0, start - block)
        for member in np.unique(members[skipped:]).tolist():
            before = int(np.count_nonzero(members[:skipped] == member))
            places = np.flatnonzero(members[skipped:] == member) + (block + skipped - start)
            yield Draw(member, block + before, places)


def seeds_of_members(seed: int, count: int) -> list[int]:
    """A seed for each member's samples: with one for all these would share their base points."""
    found: list[int] = _raw(seed, _SEED_OF_MEMBER, 0, count).tolist()
    return found


def drawn_integers(seed: int, count: int, below: int) -> NDArray[np.int64]:
    """Integers from 0 to `below` - 1, for bootstraps."""
    return (_uniform(seed, _ROW_OF_BOOTSTRAP, 0, count) * below).astype(np.int64)


def uniform_for_clusters(seed: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Numbers on [0, 1) that the first centres of clusters are drawn with."""
    return _uniform(seed, _CENTRE_OF_CLUSTER, 0, shape[0] * shape[1]).reshape(shape)


def _uniform(seed: int, stream: int, start: int, count: int) -> NDArray[np.float64]:
    """The numbers ``start, ...`` of a stream of uniform ones on [0, 1)."""
    found: NDArray[np.float64] = (_raw(seed, stream, start, count) >> np.uint64(11)) * 2.0**-53
    return found


def _raw(seed: int, stream: int, start: int, count: int) -> NDArray[np.uint64]:
    """The 64-bit words ``start, ...`` of Philox 4x64, a block of which has 4.

    NumPy promises the words of its generators to stay as they are, but not what its distributions
    make of them.
    """
    key = np.array([seed, stream], np.uint64)
    philox = np.random.Philox(key=key, counter=np.array([start // 4, 0, 0, 0], np.uint64))
    words: NDArray[np.uint64] = philox.random_raw(start % 4 + count)[start % 4 :]
    return words
