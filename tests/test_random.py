"""csrc/simd/random.h: random rows against NumPy, mpmath and the distributions themselves."""

import ctypes
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from scipy import stats

import philox
from c_build import SIMD_LEVELS, shared_library, simd_levels

SEED, STREAM = 0x0123456789ABCDEF, 17
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
KERNEL = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_size_t, ctypes.c_size_t,
    ctypes.c_void_p,
)  # fmt: skip

# log within 2 ulp makes its root 1.5, sin and cos within 2 ulp, and a product's half ulp on top.
NORMAL_ULP = 4.0


@pytest.fixture(scope="module")
def lib():
    return shared_library(["csrc/simd/random.c", "csrc/simd/simd.c", "csrc/base/status.c"])


@pytest.fixture
def levels():
    return simd_levels()


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture
def draw(lib, dtype, levels):
    """draw(kind, features, lanes, …): an array (features, lanes), at the best level unless told."""

    def call(kind, features, lanes, *, seed=SEED, row=0, stream=STREAM, level=None):
        table = (ctypes.c_void_p * (2 * len(SIMD_LEVELS))).in_dll(lib, f"cf_random_{kind}")
        level = max(levels) if level is None else level
        out = np.full((features + 1, lanes), np.nan, dtype)
        kernel = KERNEL(table[2 * level + DTYPES.index(dtype)])
        kernel(seed, row, stream, features, lanes, out.ctypes.data)
        assert np.isnan(out[features]).all()
        return out[:features]

    return call


def normal_reference(draws, dtype):
    """Box and Muller's formula to 30 digits."""

    def pair(v, u):
        with mpmath.workdps(30):
            radius, turns = mpmath.sqrt(-2 * mpmath.log(mpmath.mpf(v))), 2 * mpmath.mpf(u)
            return float(radius * mpmath.cospi(turns)), float(radius * mpmath.sinpi(turns))

    v, u = philox.above_zero(draws[0::2], dtype), philox.uniform(draws[1::2], dtype)
    z = np.vectorize(pair, otypes=[np.float64, np.float64])(v, u)
    return np.stack(z, axis=1).reshape(draws.shape)


# -- Against the formulas -- #

ROWS = [0, 5, 2**32 - 7, 2**63 + 2**32 - 24, 2**64 - 9]


@pytest.mark.parametrize("row", ROWS)
def test_uniform_numbers_are_the_draws_bit_for_bit(draw, dtype, levels, row):
    rows = (row + np.arange(48, dtype=object)) % 2**64
    expected = philox.uniform(philox.draws(SEED, rows, STREAM, 7, dtype), dtype)
    for level in levels:
        np.testing.assert_array_equal(draw("uniform", 7, 48, row=row, level=level), expected)


@pytest.mark.parametrize("row", ROWS)
def test_normal_numbers_are_box_and_mullers(draw, dtype, levels, row):
    rows = (row + np.arange(32, dtype=object)) % 2**64
    expected = normal_reference(philox.draws(SEED, rows, STREAM, 6, dtype), dtype)
    for level in levels:
        z = draw("normal", 6, 32, row=row, level=level)
        error = z.astype(np.float64) - expected
        assert np.abs(error / np.spacing(np.abs(expected).astype(dtype))).max() <= NORMAL_ULP


def test_normal_numbers_at_the_ends(draw, dtype, levels):
    """The rows among a million with the least and the greatest draws: far out, next to zero."""
    rows = np.arange(1 << 20)
    draws = philox.draws(SEED, rows, STREAM, 2, dtype)
    order = np.argsort(draws[0])
    ends = np.concatenate([order[:20], order[-20:]])
    expected = normal_reference(draws[:, ends], dtype)
    length = np.hypot(*expected)
    assert length[:20].min() > 4.5 and length[20:].max() < 0.01
    for level in levels:
        z = draw("normal", 2, len(rows), level=level)[:, ends].astype(np.float64)
        error = np.abs(z - expected) / np.spacing(np.abs(expected).astype(dtype))
        assert error.max() <= NORMAL_ULP


FROZEN = {
    ("uniform", "float32"): [
        "0x1.c07de4p-2", "0x1.abb786p-1", "0x1.4088p-8",
        "0x1.02f62cp-2", "0x1.a4828p-7",
    ],
    ("normal", "float32"): [
        "0x1.5044fep-1", "-0x1.1abd2cp+0", "-0x1.e59414p-5",
        "0x1.a17802p+1", "0x1.e9e4a6p+0",
    ],
    ("uniform", "float64"): [
        "0x1.abb78706e03efp-1", "0x1.02f62df805022p-2", "0x1.b97bbe200692p-1",
        "0x1.9e1173dafe904p-3", "0x1.5fa8dd39a1616p-1",
    ],
    ("normal", "float64"): [
        "-0x1.6520cdd53874cp-7", "0x1.33084e2062e17p-1", "0x1.49f6abc641cbbp-3",
        "0x1.0a3ec34f5b7a8p-1", "-0x1.25b589cee8eeep-2",
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_frozen_numbers(draw, dtype, levels, kind):
    """Five features of row 2^32, written down: a change here changes every user's samples."""
    expected = np.array([float.fromhex(number) for number in FROZEN[kind, dtype.name]])
    for level in levels:
        row = draw(kind, 5, 16, row=2**32 - 3, level=level)[:, 3]
        ulp = NORMAL_ULP if kind == "normal" else 0.0
        assert (np.abs(row - expected) <= ulp * np.spacing(np.abs(expected).astype(dtype))).all()


# -- Numbers belong to (seed, row, stream, feature) -- #


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_numbers_do_not_depend_on_how_many_are_drawn(draw, levels, kind):
    for level in levels:
        whole = draw(kind, 11, 256, row=1000, level=level)
        for features in range(1, 11):
            fewer = draw(kind, features, 256, row=1000, level=level)
            np.testing.assert_array_equal(fewer, whole[:features])
        for start, lanes in [(0, 16), (16, 64), (3, 16), (97, 144), (240, 16)]:
            part = draw(kind, 11, lanes, row=1000 + start, level=level)
            np.testing.assert_array_equal(part, whole[:, start : start + lanes])


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_no_feature_is_no_work(draw, kind):
    assert draw(kind, 0, 16).shape == (0, 16)


def test_levels_agree(draw, dtype, levels):
    """Uniform numbers in every bit, normal ones too where levels fuse multiply-add."""
    uniform = [draw("uniform", 5, 256, level=level) for level in levels]
    normal = [draw("normal", 5, 256, level=level) for level in levels]
    ulp = np.spacing(np.abs(normal[0]))
    for u, z in zip(uniform[1:], normal[1:], strict=True):
        np.testing.assert_array_equal(u, uniform[0])
        assert (np.abs(z - normal[0]) <= 2 * NORMAL_ULP * ulp).all()
        np.testing.assert_array_equal(z, normal[1])


@pytest.mark.parametrize("change", [{"seed": SEED + 1}, {"seed": SEED ^ 1 << 63}, {"stream": 18}])
def test_another_seed_or_stream_is_another_family(draw, change):
    ours, other = draw("uniform", 8, 64), draw("uniform", 8, 64, **change)
    assert (ours != other).all()


# -- Against the distributions; seeds fixed, so that nothing here is up to luck -- #

N = 1 << 18


def uncorrelated(a, b):
    """Whether a correlation is one that independent samples have, at 4.5 standard errors."""
    return abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / np.sqrt(a.size)


def test_uniform_distribution(draw):
    u = draw("uniform", 4, N).astype(np.float64)
    assert u.min() >= 0.0 and u.max() < 1.0
    for feature in u:
        assert stats.kstest(feature, "uniform").pvalue > 1e-3
    # The low bits too: what is left of a number below a 2^-12th.
    assert stats.kstest((u * 2**12 % 1.0).ravel(), "uniform").pvalue > 1e-3
    np.testing.assert_allclose(u.mean(axis=1), 0.5, atol=4.5 * np.sqrt(1 / 12 / N))
    np.testing.assert_allclose(u.var(axis=1), 1 / 12, atol=4.5 * np.sqrt(1 / 180 / N))


def test_normal_distribution(draw):
    z = draw("normal", 4, N).astype(np.float64)
    for feature in z:
        assert stats.kstest(feature, "norm").pvalue > 1e-3
    # E z^k and E z^2k for k = 1 to 6.
    moments = {1: (0, 1), 2: (1, 3), 3: (0, 15), 4: (3, 105), 5: (0, 945), 6: (15, 10395)}
    for k, (mean, square) in moments.items():
        error = np.sqrt((square - mean**2) / N)
        np.testing.assert_allclose((z**k).mean(axis=1), mean, atol=4.5 * error)


def test_normal_tails(draw):
    """Counts beyond 2, 3, 4 and 4.5 standard deviations among four million, on either side."""
    z = draw("normal", 16, N)
    for side in (z, -z):
        for limit in (2.0, 3.0, 4.0, 4.5):
            expected = z.size * stats.norm.sf(limit)
            assert abs((side > limit).sum() - expected) < 4.5 * np.sqrt(expected)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_features_rows_streams_and_seeds_are_independent(draw, kind):
    x = draw(kind, 4, N).astype(np.float64)
    others = [x[[1, 2, 3, 0]], x[[2, 3, 0, 1]], np.roll(x, 1, axis=1), np.roll(x, 16, axis=1)]
    for change in ({"seed": SEED + 1}, {"stream": STREAM + 1}, {"row": 2**32}):
        others.append(draw(kind, 4, N, **change).astype(np.float64))
    centre = 0.5 if kind == "uniform" else 0.0
    for y in others:
        assert uncorrelated(x, y)
        assert uncorrelated((x - centre) ** 2, (y - centre) ** 2)


def test_pairs_of_normal_numbers_point_everywhere(draw):
    """The angle of (z_0, z_1), (z_1, z_2), … is uniform and does not go with the length."""
    z = draw("normal", 5, N).astype(np.float64)
    for a, b in pairwise(z):
        turns = np.arctan2(b, a) / (2 * np.pi) + 0.5
        assert stats.kstest(turns, "uniform").pvalue > 1e-3
        assert stats.kstest((a**2 + b**2) / 2, "expon").pvalue > 1e-3
        assert uncorrelated(turns, a**2 + b**2)
