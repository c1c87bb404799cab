"""Philox 4x32-10 and what the library draws with it, in NumPy: a reference for the tests."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF


def words(seed: int, rows: object, stream: int, block: int) -> NDArray[np.uint64]:
    """The four words of each counter, shape (n, 4); Salmon et al. 2011, section 3.3."""
    row = np.atleast_1d(np.asarray(rows, dtype=np.uint64))
    c0, c1 = row & np.uint64(MASK), row >> np.uint64(32)
    c2, c3 = (np.full_like(row, number) for number in (stream, block))
    k0, k1 = seed & MASK, seed >> 32
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & np.uint64(MASK)
        c2, c3 = (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & np.uint64(MASK)
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return np.stack([c0, c1, c2, c3], axis=1)


def draws(
    seed: int, rows: object, stream: int, features: int, dtype: np.dtype
) -> NDArray[np.uint64]:
    """What each feature of each row is made of: 32 or 64 bits, by dtype; shape (features, n)."""
    per_block = 4 if dtype == np.float32 else 2
    blocks = [words(seed, rows, stream, block) for block in range(-(-features // per_block))]
    w = np.concatenate(blocks, axis=1).T
    if dtype == np.float64:
        w = w[0::2] | w[1::2] << np.uint64(32)
    return np.asarray(w[:features])


def uniform(draw: NDArray[np.uint64], dtype: np.dtype) -> NDArray[np.float64]:
    """The leading 24 or 53 bits of a draw, as numbers on [0, 1)."""
    unused, bits = (8, 24) if dtype == np.float32 else (11, 53)
    return np.asarray((draw >> np.uint64(unused)) / 2.0**bits)


def above_zero(draw: NDArray[np.uint64], dtype: np.dtype) -> NDArray[np.float64]:
    """(draw + 1/2) / 2^b rounded once to the dtype, on (0, 1]."""
    bits = 32 if dtype == np.float32 else 64
    if bits == 32:
        return ((draw.astype(np.float64) + 0.5) / 2.0**32).astype(np.float32).astype(np.float64)
    exact = [float(Fraction(2 * int(d) + 1, 2**65)) for d in draw.ravel()]
    return np.array(exact).reshape(draw.shape)


def below(seed: int, row: int, stream: int, block: int, bound: int) -> int:
    """The first candidate that Lemire's method accepts, on [0, bound)."""
    attempt = 0
    while True:
        w = [int(word) for word in words(seed, row, stream + (attempt << 16), block)[0]]
        for candidate in (w[0] | w[1] << 32, w[2] | w[3] << 32):
            product = candidate * bound
            if product % 2**64 >= 2**64 % bound:
                return product >> 64
        attempt += 1
