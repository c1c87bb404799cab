"""Toy densities against quadrature, SciPy and their own samples."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from cflows import data

TOYS = list(data.TOYS)


@cache
def cells(name):
    """Probability and entropy of each cell of a grid, side 0.5, over [-8, 8]², shape (32, 32).

    Sixteen Gauss-Legendre points a side see the thinnest blade of the pinwheel to 2e-10 and all
    else to 1e-13; the edges of the checkerboard are edges of cells.
    """
    node, weight = np.polynomial.legendre.leggauss(16)
    axis = (np.arange(-8.0, 8.0, 0.5)[:, None] + 0.25 * (1.0 + node)).ravel()
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_prob = data.toy(name).log_prob(points).reshape(32, 16, 32, 16)
    prob = np.exp(log_prob)
    quadrature = np.multiply.outer(weight, weight)[None, :, None, :] * 0.25**2
    entropy = -prob * np.where(prob > 0.0, log_prob, 0.0)
    return (prob * quadrature).sum(axis=(1, 3)), (entropy * quadrature).sum(axis=(1, 3))


@pytest.mark.parametrize("name", TOYS)
def test_toy_density_integrates_to_one(name):
    prob, _ = cells(name)
    assert prob.sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", TOYS)
def test_toy_samples_follow_the_density(name):
    n = 100_000
    prob, _ = cells(name)
    x = data.toy(name).sample(n, seed=2)
    counts, _, _ = np.histogram2d(*x.T, bins=np.arange(-8.0, 8.5, 0.5))
    frequent = n * prob >= 10.0
    expected = np.append(n * prob[frequent], n * prob[~frequent].sum())
    observed = np.append(counts[frequent], n - counts[frequent].sum())
    if expected[-1] < 10.0:  # Too rare to judge by chi-square alone: join them to the rarest cell.
        rarest = expected[:-1].argmin()
        expected[rarest] += expected[-1]
        observed[rarest] += observed[-1]
        expected, observed = expected[:-1], observed[:-1]
    chi_square = (np.square(observed - expected) / expected).sum()
    assert stats.chi2.sf(chi_square, len(expected) - 1) > 1e-3


@pytest.mark.parametrize("name", TOYS)
def test_toy_entropy_by_monte_carlo(name):
    toy = data.toy(name)
    _, entropy = cells(name)
    information = -toy.log_prob(toy.sample(50_000, seed=2))
    error = information.std() / np.sqrt(len(information))
    # The checkerboard's is the same everywhere, with no error but that of rounding.
    assert information.mean() == pytest.approx(entropy.sum(), abs=4.0 * error + 1e-12)


@pytest.mark.parametrize("name", TOYS)
def test_toy_samples_are_the_seeds_own(name):
    toy = data.toy(name)
    x = toy.sample(101, seed=3)
    assert x.shape == (101, 2) and x.dtype == np.float64
    np.testing.assert_array_equal(x, toy.sample(101, seed=3))
    np.testing.assert_array_equal(x, toy.sample(101, np.random.default_rng(3)))
    assert not np.isin(x, toy.sample(101, seed=4)).any()
    assert not np.isin(x, toy.sample(101)).any()
    assert toy.sample(0, seed=3).shape == (0, 2)
    (x_min, x_max), (y_min, y_max) = toy.bounds
    inside = (x >= (x_min, y_min)) & (x <= (x_max, y_max))
    assert inside.all(axis=1).mean() > 0.95


@pytest.mark.parametrize("name", TOYS)
def test_toy_rows_stand_alone(name):
    toy = data.toy(name)
    x = toy.sample(5, seed=5)
    spoilt = x.copy()
    spoilt[1, 0], spoilt[3, 1] = np.nan, np.inf
    log_prob = toy.log_prob(spoilt)
    assert np.isnan(log_prob[[1, 3]]).all()
    # A matrix product may round a row differently beside others.
    np.testing.assert_allclose(log_prob[[0, 2, 4]], toy.log_prob(x)[[0, 2, 4]], rtol=1e-12)
    assert toy.log_prob(np.empty((0, 2))).shape == (0,)
    assert toy.log_prob(x.astype(np.float32)[::-1]).dtype == np.float64
    far = toy.log_prob([[1e6, -1e6], [3e38, 3e38]])
    assert (far < -1e10).all()


def test_eight_gaussians_against_scipy():
    toy = data.toy("eight_gaussians")
    x = np.vstack([toy.sample(50, seed=6), [[0.0, 0.0], [9.0, -9.0]]])
    angle = np.arange(8) * np.pi / 4
    means = 8**0.5 * np.column_stack([np.cos(angle), np.sin(angle)])
    normals = [stats.multivariate_normal(mean, 0.125).logpdf(x) for mean in means]
    expected = special.logsumexp(normals, axis=0) - np.log(8)
    np.testing.assert_allclose(toy.log_prob(x), expected, atol=1e-11)


def test_circles_against_bessel_functions():
    """A uniform angle with normal noise: ``exp(-(r² + R²) / 2σ²) I_0(r R / σ²) / 2πσ²``."""
    toy = data.toy("circles")
    x = np.vstack([toy.sample(50, seed=7), [[0.0, 0.0], [4.0, -4.0], [0.01, 0.0]]])
    r = np.hypot(*x.T)
    variance = 0.24**2
    expected = [
        np.log(special.ive(0, r * R / variance)) - (r - R) ** 2 / (2 * variance) for R in (3.0, 1.5)
    ]
    expected = special.logsumexp(expected, axis=0) - np.log(2 * np.pi * variance) - np.log(2)
    np.testing.assert_allclose(toy.log_prob(x), expected, atol=1e-11)


def spiral_arm(t, sign):
    return sign * -t * np.cos(t) / 3, sign * t * np.sin(t) / 3


def moon(t, sign):
    """Half circles of radius 2: one over (-1, -0.2), one under (1, 0.8)."""
    return -sign + sign * 2 * np.cos(t), 0.3 - 0.5 * sign + sign * 2 * np.sin(t)


@pytest.mark.parametrize(
    ("name", "curve", "end", "weight", "std"),
    [
        ("moons", moon, np.pi, lambda _: 1 / np.pi, 0.2),
        ("spirals", spiral_arm, 3 * np.pi, lambda t: 2 * t / (3 * np.pi) ** 2, 0.1),
    ],
)
def test_noisy_curves_against_adaptive_quadrature(name, curve, end, weight, std):
    toy = data.toy(name)
    x = np.vstack([toy.sample(6, seed=8), [[0.0, 0.0], [4.0, -4.0], [-4.0, 1.0], [0.3, 3.9]]])

    def density(point):
        def integrand(t, sign, peak):
            a, b = curve(t, sign)
            square = (point[0] - a) ** 2 + (point[1] - b) ** 2
            return weight(t) * np.exp((peak - square) / (2 * std**2))

        t = np.linspace(0, end, 10_001)
        arms = [np.array(curve(t, sign)) for sign in (1, -1)]
        peak = min(np.square(arm - point[:, None]).sum(axis=0).min() for arm in arms)
        pieces = np.linspace(0, end, 121)
        total = sum(
            integrate.quad(integrand, a, b, args=(sign, peak), epsabs=1e-15, epsrel=1e-12)[0]
            for a, b in pairwise(pieces)
            for sign in (1, -1)
        )
        return np.log(total / 2) - peak / (2 * std**2) - np.log(2 * np.pi * std**2)

    np.testing.assert_allclose(toy.log_prob(x), [density(point) for point in x], atol=1e-11)


@pytest.mark.parametrize("name", ["moons", "circles", "spirals"])
def test_noisy_curves_have_enough_nodes(name):
    """All over the square, far from the curves too, against four times the nodes."""
    toy = data.toy(name)
    kind = type(toy)
    finer = type("Finer", (kind,), {"_panels": 4 * kind._panels})()
    axis = np.linspace(-4.0, 4.0, 33)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(toy.log_prob(x), finer.log_prob(x), rtol=0.0, atol=1e-11)


def test_pinwheel_is_its_map_of_a_normal():
    """Against the formula through complex numbers, and unchanged by a fifth of a turn."""
    toy = data.toy("pinwheel")
    x = np.vstack([toy.sample(50, seed=9), [[0.0, 0.0], [4.0, -4.0]]])
    z = (x[:, 0] + 1j * x[:, 1]) / 2
    turned = [z * np.exp(1j * (2 * np.pi * k / 5 + np.exp(abs(z)) / 4)) for k in range(5)]
    expected = np.log(
        sum(stats.norm.pdf(w.real, 1, 0.3) * stats.norm.pdf(w.imag, 0, 0.1) for w in turned) / 20
    )
    np.testing.assert_allclose(toy.log_prob(x), expected, atol=1e-11)
    fifth = 2 * z * np.exp(2j * np.pi / 5)
    rotated = np.column_stack([fifth.real, fifth.imag])
    np.testing.assert_allclose(toy.log_prob(rotated), expected, atol=1e-9)


def test_checkerboard_edges():
    x = [[-4, -4], [4, 0], [-4.001, -3], [0, 0], [-0.001, -0.001], [-0.001, 0.001], [3, 1]]
    dark = np.array([True, False, False, True, True, False, False])
    expected = np.where(dark, -np.log(32), -np.inf)
    np.testing.assert_array_equal(data.toy("checkerboard").log_prob(x), expected)


def test_toy_errors():
    with pytest.raises(ValueError, match=r"'moon'.*moons, circles, pinwheel"):
        data.toy("moon")
    for name in ([], None, {}, 3):
        with pytest.raises(ValueError, match="no toy density is called"):
            data.toy(name)
    with pytest.raises(ValueError, match=r"expected \(n, 2\), got \(3,\)"):
        data.toy("moons").log_prob([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"expected \(n, 2\), got \(4, 3\)"):
        data.toy("moons").log_prob(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="negative: got -1"):
        data.toy("moons").sample(-1)
