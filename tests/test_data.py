"""Splits and the embedded digits."""

import hashlib

import numpy as np
import pytest

from cflows import data


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 1000])
@pytest.mark.parametrize(
    "parts", [(0.8, 0.1, 0.1), (1.0,), (1 / 3, 1 / 3, 1 / 3), (0.2, 0.4, 0.3, 0.1)]
)
def test_fractions_deal_out_every_row_once(n, parts):
    rows = data.split(np.arange(n), parts, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(n))
    for fraction, part in zip(parts, rows, strict=True):
        assert abs(len(part) - fraction * n) <= 1.0


def test_splits_are_shuffled_disjoint_and_the_seeds_own():
    x = np.arange(3000).reshape(1000, 3)
    a, b = data.split(x, (600, 150), seed=1)
    assert a.shape == (600, 3) and b.shape == (150, 3)
    rows = np.concatenate([a, b])[:, 0] // 3
    assert len(np.unique(rows)) == 750
    np.testing.assert_array_equal(np.concatenate([a, b]), x[rows])
    # Neither in order nor biased: the mean of 600 of the ranks 0..999.
    assert (np.diff(rows) < 0).mean() == pytest.approx(0.5, abs=0.1)
    assert rows[:600].mean() == pytest.approx(499.5, abs=4 * 1000 / np.sqrt(12 * 600))
    again, _ = data.split(x, (600, 150), seed=1)
    np.testing.assert_array_equal(a, again)
    other, _ = data.split(x, (600, 150), seed=2)
    assert (a[:, 0] != other[:, 0]).mean() > 0.9
    # Fractions and sizes deal from one shuffle.
    np.testing.assert_array_equal(a, data.split(x, (0.6,), seed=1)[0])


def test_aligned_arrays_stay_aligned(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(100.0).reshape(50, 2))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = [f"row {i}" for i in range(50)]
    parts = data.split((x, y), (0.5, 0.5))
    for x_part, y_part in parts:
        assert y_part.tolist() == [f"row {i:.0f}" for i in x_part[:, 0] // 2]
        x_part[:] = 0.0  # A copy: the file behind x is read-only.
    ((only,),) = data.split((x,), [50])
    np.testing.assert_array_equal(np.sort(only[:, 0]), x[:, 0])


@pytest.mark.parametrize(
    ("x", "parts", "message"),
    [
        (np.ones(10), (0.8, 0.3), r"sum to 1\.1, which is more than 1"),
        (np.ones(10), (8, 3), r"ask for 11 rows, there are 10"),
        (np.ones(10), (), "sequence of fractions or of sizes"),
        (np.ones(10), 0.5, "sequence of fractions or of sizes"),
        (np.ones(10), ("half",), "sequence of fractions or of sizes"),
        (np.ones(10), (-0.1, 0.5), "cannot be negative"),
        (np.ones(10), (np.nan, 0.5), "cannot be negative"),
        (np.ones(10), (5, 0.5), "more than 1"),
        (np.float64(1.0), (0.5,), r"same number of rows, got shapes \[\(\)\]"),
        ((np.ones(10), np.ones((9, 2))), (0.5,), r"got shapes \[\(10,\), \(9, 2\)\]"),
        ((), (0.5,), "same number of rows"),
    ],
)
def test_splits_that_cannot_be(x, parts, message):
    with pytest.raises(ValueError, match=message):
        data.split(x, parts)


def test_digits_are_the_published_ones():
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8) and images.dtype == labels.dtype == np.uint8
    assert images.min() == 0 and images.max() == 16
    # The counts of each digit in the data set's description.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    first = [0, 0, 5, 13, 9, 1, 0, 0]
    assert images[0, 0].tolist() == first and labels[0] == 0
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_digits_are_the_callers_own():
    images, _ = data.digits()
    images[:] = 0
    assert data.digits()[0].any()
