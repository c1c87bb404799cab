"""Minibatches, and augmentation of training rows alone."""

import numpy as np
import pytest

import cflows as cf
from cflows import data

IMAGES = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_batches_go_through_all_rows_once(tmp_path):
    x = np.arange(103)
    y = 10 * x
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = list(data.batches((mapped, y), 10, seed=3))
    assert [len(a) for a, _ in found] == 10 * [10] + [3]
    assert all(np.array_equal(10 * a, b) for a, b in found)
    together = np.concatenate([a for a, _ in found])
    assert not np.array_equal(together, x) and np.array_equal(np.sort(together), x)
    again = np.concatenate([a for a, _ in data.batches((x, y), 10, seed=3)])
    assert np.array_equal(again, together)
    for other in ({"seed": 4}, {"seed": 3, "epoch": 1}):
        assert not np.array_equal(np.concatenate(list(data.batches(x, 10, **other))), together)
    assert [len(a) for a in data.batches(x, 10, partial=False)] == 10 * [10]
    assert list(data.batches(x[:0], 10)) == []
    with pytest.raises(ValueError, match=r"one number of rows, got \[5, 103\]"):
        data.batches((x, y[:5]), 10)
    with pytest.raises(ValueError, match="size must be 1 or more, got 0"):
        data.batches(x, 0)


@pytest.mark.parametrize(("axis", "place"), [("horizontal", 3), ("vertical", 2)])
def test_flips(axis, place):
    images = rng(1).integers(0, 256, size=(1000, 2, 3, 5), dtype=np.uint8)
    flipped = data.Flip(axis, 0.3)(images, rng())
    same = (flipped == images).all(axis=(1, 2, 3))
    assert np.array_equal(flipped[~same], np.flip(images[~same], place))
    assert abs((~same).mean() - 0.3) < 0.06
    assert flipped.dtype == np.uint8


def test_shifts():
    images = 1 + rng(1).integers(0, 255, size=(900, 1, 4, 6))
    shifted = data.Shift(1, fill=-7)(images, rng())
    seen = set()
    for image, new in zip(images[:, 0], shifted[:, 0], strict=True):
        padded = np.pad(image, 1, constant_values=-7)
        fits = [
            (y, x)
            for y in range(3)
            for x in range(3)
            if np.array_equal(padded[y : y + 4, x : x + 6], new)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 9
    assert np.array_equal(data.Shift(0)(images, rng()), images)


def test_quarter_turns():
    turned = data.QuarterTurns()(np.repeat(IMAGES[:1], 400, axis=0), rng())
    counts = [
        sum(np.array_equal(t, np.rot90(IMAGES[0], k, (1, 2))) for t in turned) for k in range(4)
    ]
    assert sum(counts) == 400 and min(counts) > 60
    with pytest.raises(ValueError, match="images must be square"):
        data.QuarterTurns()(IMAGES[:, :, :3], rng())


def test_augmented():
    images = rng(1).integers(0, 256, size=(5000, 1, 4, 4), dtype=np.uint8)
    steps = [data.Shift(1), data.Flip()]
    found = data.augmented(images, steps, seed=3, epoch=2)
    assert found.dtype == np.uint8
    assert np.array_equal(found, data.augmented(images, steps, seed=3, epoch=2))
    assert not np.array_equal(found, data.augmented(images, steps, seed=3, epoch=1))
    assert not np.array_equal(found[:4096], found[-4096:])
    with pytest.raises(ValueError, match=r"must have shape \(n, channels, height, width\)"):
        data.augmented(images[:, 0], steps)
    with pytest.raises(TypeError, match="an augmentation is a function"):
        data.augmented(images, ["flip"])
    with pytest.raises(ValueError, match="made images of"):
        data.augmented(images, lambda x, rng: x[:, :, 1:])
    with pytest.raises(ValueError, match="axis must be"):
        data.Flip("diagonal")
    with pytest.raises(ValueError, match="probability must be from 0 to 1, got 2"):
        data.Flip(probability=2)
    with pytest.raises(ValueError, match="pixels must be 0 or more, got -1"):
        data.Shift(-1)


def new_flow():
    return cf.glow((1, 4, 4), levels=1, steps=1, channels=4, dtype="float64", seed=0)


def fitted(x, flow=None, **options):
    flow = new_flow() if flow is None else flow
    settings = {"epochs": 4, "batch_size": 20, "seed": 5, "progress": False, **options}
    return flow, flow.fit(x, **settings)


def same_weights(a, b):
    return all(np.array_equal(a.parameters[name], b.parameters[name]) for name in a.parameters)


def test_fit_augments_training_rows_alone():
    """One epoch is a fit to the rows that `augmented` gives; validation rows stay as they are."""
    x = rng(2).normal(size=(100, 1, 4, 4))
    flip = data.Flip()
    ours, history = fitted(x, augment=flip, epochs=1, validation=x[:30])
    truth, expected = fitted(data.augmented(x, flip, seed=5), epochs=1, validation=x[:30])
    assert same_weights(ours, truth)
    assert history.train == expected.train and history.validation == expected.validation
    flow, history = fitted(x, augment=lambda images, _: 0.5 * images, epochs=1, validation=x)
    assert history.validation[0] == pytest.approx(-flow.log_prob(x).mean(), rel=1e-12)


def test_every_epoch_is_augmented_afresh():
    seen = []

    def watch(images, generator):
        seen.append(generator.random())
        return images

    fitted(rng(2).normal(size=(100, 1, 4, 4)), augment=watch, epochs=3)
    assert len(set(seen)) == 3


def test_augmented_fits_resume(tmp_path):
    x = rng(2).normal(size=(100, 1, 4, 4))
    steps = (data.Flip(), data.Shift(1))
    whole, _ = fitted(x, augment=steps)
    half, _ = fitted(x, augment=steps, epochs=2, checkpoint=tmp_path / "half")
    fitted(x, half, augment=steps, resume=tmp_path / "half")
    assert same_weights(whole, half)
    with pytest.raises(ValueError, match="augment"):
        fitted(x, half, augment=data.Flip(), epochs=5, resume=tmp_path / "half")
    with pytest.raises(ValueError, match=r"must have shape \(n, channels, height, width\)"):
        cf.realnvp(2).fit(np.zeros((5, 2)), augment=data.Flip())
