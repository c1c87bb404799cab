"""Gumbel, exponential, gamma, beta, truncated normal and von Mises bases against SciPy and mpmath:
densities, samples, gradients, tails, fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import cflows as cf
from differences import gradient

PI = np.pi
N = 6_000

# A base of three features, and the law of each.
BASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "gumbel": (
        lambda **o: cf.Gumbel(loc=[1.0, -2.0, 0.5], scale=[0.5, 2.0, 1.3], **o),
        [stats.gumbel_r(1.0, 0.5), stats.gumbel_r(-2.0, 2.0), stats.gumbel_r(0.5, 1.3)],
    ),
    "exponential": (
        lambda **o: cf.Exponential(scale=[0.5, 2.0, 1.3], **o),
        [stats.expon(0, 0.5), stats.expon(0, 2.0), stats.expon(0, 1.3)],
    ),
    "gamma": (
        lambda **o: cf.Gamma(shape=[0.3, 2.5, 40.0], scale=[0.5, 2.0, 1.3], **o),
        [stats.gamma(0.3, 0, 0.5), stats.gamma(2.5, 0, 2.0), stats.gamma(40.0, 0, 1.3)],
    ),
    "beta": (
        lambda **o: cf.Beta(a=[0.6, 2.5, 40.0], b=[0.7, 1.0, 3.0], **o),
        [stats.beta(0.6, 0.7), stats.beta(2.5, 1.0), stats.beta(40.0, 3.0)],
    ),
    "truncated": (
        lambda **o: cf.TruncatedNormal(
            low=[-1.0, 3.0, -9.0], high=[2.0, 4.0, -6.0], loc=[0.5, 0.0, 0.0], scale=2.0, **o
        ),
        [
            stats.truncnorm(-0.75, 0.75, 0.5, 2.0),
            stats.truncnorm(1.5, 2.0, 0.0, 2.0),
            stats.truncnorm(-4.5, -3.0, 0.0, 2.0),
        ],
    ),
    "von-mises": (
        lambda **o: cf.VonMises(loc=[0.0, 2.0, -1.0], concentration=[0.2, 3.0, 60.0], **o),
        [stats.vonmises(0.2, 0.0), stats.vonmises(3.0, 2.0), stats.vonmises(60.0, -1.0)],
    ),
}


def flow_of(base: Any, features: int = 3, **options: Any) -> cf.Flow:
    return cf.Flow([], features=features, base=base, **{"dtype": "float64", "seed": 0, **options})


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", BASES)
def test_densities_are_scipys(name: str, learned: bool) -> None:
    make, laws = BASES[name]
    p = np.concatenate([[1e-9, 1e-4], np.linspace(0.02, 0.98, 40), [0.9999, 1 - 1e-9]])
    x = np.stack([law.ppf(p) for law in laws], axis=1)
    if name == "von-mises":
        x = (x + PI) % (2 * PI) - PI
    for dtype, rtol in (("float64", 3e-13), ("float32", 2e-6)):
        points = x.astype(dtype)
        if name == "beta":  # what has been rounded to an end has no density
            points = points[(points < 1.0).all(axis=1)]
        exact = points.astype(np.float64)
        expected = sum(law.logpdf(exact[:, f]) for f, law in enumerate(laws))
        found = flow_of(make(learned=learned), dtype=dtype).log_prob(points)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=8 * rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BASES)
def test_samples_are_distributed_so(name: str, dtype: str) -> None:
    make, laws = BASES[name]
    flow = flow_of(make(), dtype=dtype)
    x, log_prob = flow.sample_and_log_prob(N, seed=3)
    assert np.isfinite(log_prob).all()
    np.testing.assert_array_equal(flow.sample(100, seed=3, start=77), x[77:177])
    x = x.astype(np.float64)
    for f, law in enumerate(laws):
        column = x[:, f]
        if name == "von-mises":
            assert np.abs(column).max() <= np.float32(PI)
            mean = law.args[1]
            column, law = (column - mean + PI) % (2 * PI) - PI, stats.vonmises(law.args[0])
        elif name != "beta":  # whose samples may round to the number below 1
            assert abs(column.mean() - law.mean()) < 5 * law.std() / np.sqrt(N)
            assert abs(column.std() / law.std() - 1) < 0.08
        if not (name == "beta" and dtype == "float32"):
            assert stats.kstest(column, law.cdf).pvalue > 1e-3
    ranks = np.argsort(np.argsort(x, axis=0), axis=0)
    correlation = np.corrcoef(ranks.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(N)


def outside_of(name: str) -> list[float]:
    """The nearest numbers without a density, and infinity."""
    below, above = float(np.nextafter(0, -1)), float(np.nextafter(1, 2))
    return {
        "gumbel": [-np.inf, np.inf, -2e4],
        "exponential": [below, -1.0, -np.inf, np.inf],
        "gamma": [0.0, below, -1.0, -np.inf, np.inf],
        "beta": [0.0, 1.0, below, above, -np.inf, np.inf],
        "truncated": [-1.0 - 1e-15, 2.0 + 1e-15, -np.inf, np.inf],
        "von-mises": [np.nextafter(PI, 4), np.nextafter(-PI, -4), 7.0, -np.inf, np.inf],
    }[name]


@pytest.mark.parametrize("name", BASES)
def test_outside_of_the_support(name: str) -> None:
    """There the density and the score are 0; NaN stays NaN, and in its row alone."""
    make, laws = BASES[name]
    inner = np.array([[law.median() for law in laws]])
    if name == "von-mises":
        inner = (inner + PI) % (2 * PI) - PI
    outside = outside_of(name)
    x = np.repeat(inner, len(outside) + 2, axis=0)
    x[: len(outside), 0] = outside
    x[-2, 0] = np.nan
    for learned in (False, True):
        flow = flow_of(make(learned=learned))
        log_prob, score = flow.log_prob(x), flow.grad_log_prob(x)
        assert (log_prob[:-2] == -np.inf).all() and (score[:-2] == 0).all()
        assert np.isnan(log_prob[-2]) and np.isfinite(log_prob[-1])
        assert np.isfinite(score[-1]).all()


ENDS: dict[str, tuple[Any, list[float]]] = {
    "exponential": (cf.Exponential(scale=2.0), [0.0, -0.0]),
    "truncated": (cf.TruncatedNormal(low=0.1, high=0.3), [0.1, 0.3]),
    "half": (cf.TruncatedNormal(low=0.1), [0.1]),
    "von-mises": (cf.VonMises(), [-PI, PI]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ENDS)
def test_ends_that_are_included(name: str, dtype: str) -> None:
    base, ends = ENDS[name]
    flow = flow_of(base, 1, dtype=dtype)
    assert np.isfinite(flow.log_prob(np.array(ends, dtype)[:, None])).all()


@pytest.mark.filterwarnings("ignore:.*too few to tell:cflows.DataWarning")
@pytest.mark.parametrize("name", BASES)
def test_gradients_are_differences(name: str) -> None:
    make, laws = BASES[name]
    flow = flow_of(make(learned=True))
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.9, size=(6, 3))
    x = np.stack([law.ppf(p[:, f]) for f, law in enumerate(laws)], axis=1)
    if name == "von-mises":
        x = (x + PI) % (2 * PI) - PI
    step = 1e-4 * np.abs(x[:, :1]) * np.eye(3)[0]
    slope = (flow.log_prob(x + step) - flow.log_prob(x - step)) / (2 * step[:, 0])
    np.testing.assert_allclose(flow.grad_log_prob(x)[:, 0], slope, rtol=1e-6, atol=1e-6)
    # A step of gradient descent tells the gradient of the mean in the parameters.
    stepped = flow_of(make(learned=True))
    stepped.fit(
        x, validation=None, epochs=1, batch_size=6, optimizer=cf.SGD(1e-3), clip_norm=None, seed=0,
        progress=False,
    )  # fmt: skip
    for key, value in flow.parameters.items():
        expected = gradient(lambda: float(flow.log_prob(x).mean()), value)
        change = (stepped.parameters[key] - value) / 1e-3
        np.testing.assert_allclose(change, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", BASES)
def test_gradients_pass_through_samples(name: str) -> None:
    """One step towards a density against differences at the same random numbers."""
    make, _ = BASES[name]
    start, stepped = (flow_of(make(learned=True)) for _ in range(2))

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(x).sum(1), np.cos(x)

    stepped.fit_target(
        target, steps=1, batch_size=20, optimizer=cf.SGD(1e-3), clip_norm=None, seed=5
    )

    def loss() -> float:
        x, log_q = start.sample_and_log_prob(20, seed=5)
        return float(np.mean(log_q - target(x)[0]))

    for key, value in start.parameters.items():
        change = (value - stepped.parameters[key]) / 1e-3
        np.testing.assert_allclose(change, gradient(loss, value), rtol=1e-6, atol=1e-7)


CONDITIONAL: dict[str, tuple[Callable[[Any], Any], tuple[float, float]]] = {
    "gumbel": (lambda net: cf.Gumbel(conditioner=net), (-20.0, 80.0)),
    "exponential": (lambda net: cf.Exponential(conditioner=net), (0.0, 60.0)),
    "gamma": (lambda net: cf.Gamma(conditioner=net), (0.0, 400.0)),
    "beta": (lambda net: cf.Beta(conditioner=net), (0.0, 1.0)),
    "truncated": (
        lambda net: cf.TruncatedNormal(low=-0.5, high=2.0, conditioner=net),
        (-0.5, 2.0),
    ),
    "von-mises": (lambda net: cf.VonMises(conditioner=net), (-PI, PI)),
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_bases_integrate_to_one_and_follow_their_context(name: str) -> None:
    make, (low, high) = CONDITIONAL[name]
    flow = flow_of(make(cf.MLP((8,), activation="tanh")), 1, context_features=2)
    rng = np.random.default_rng(3)
    for value in flow.parameters.values():
        value += 0.4 * rng.normal(size=value.shape)
    # The rule of tanh-sinh: ends where the density is infinite cost nothing.
    t = np.linspace(-5.0, 5.0, 1001)
    s = 1 / (1 + np.exp(-PI * np.sinh(t)))
    x, weight = low + (high - low) * s, (high - low) * PI * np.cosh(t) * s * (1 - s) * (t[1] - t[0])
    for context in ([0.3, -1.0], [2.0, 0.5]):
        density = np.exp(flow.log_prob(x[:, None], context=context))
        assert density @ weight == pytest.approx(1.0, abs=1e-4)
        samples = flow.sample(N, context=context, seed=1)[:, 0]
        assert abs(samples.mean() - density * weight @ x) < 6 * samples.std() / np.sqrt(N)
    u = np.full((1, 1), 0.5)
    a, b = flow.log_prob(u, context=[0, 0]), flow.log_prob(u, context=[1, 1])
    assert abs(a - b)[0] > 1e-3


FITS: dict[str, tuple[Any, Any, list[float]]] = {
    "gumbel": (cf.Gumbel(learned=True), stats.gumbel_r(3.0, 2.0), [3.0, np.log(2.0)]),
    "exponential": (cf.Exponential(learned=True), stats.expon(0, 2.0), [np.log(2.0)]),
    "gamma": (cf.Gamma(learned=True), stats.gamma(3.0, 0, 2.0), [np.log(3.0), np.log(2.0)]),
    "beta": (cf.Beta(learned=True), stats.beta(3.0, 0.5), [np.log(3.0), np.log(0.5)]),
    "truncated": (
        cf.TruncatedNormal(low=-1.0, high=2.0, learned=True),
        stats.truncnorm(-3.0, 3.0, 0.5, 0.5),
        [0.5, np.log(0.5)],
    ),
    "von-mises": (cf.VonMises(learned=True), stats.vonmises(4.0, 0.5), [0.5, np.log(4.0)]),
}


@pytest.mark.parametrize("name", FITS)
def test_bases_learn_their_parameters(name: str) -> None:
    base, law, truth = FITS[name]
    x = law.rvs(size=(10_000, 1), random_state=0)
    flow = flow_of(base, 1)
    x = (x + PI) % (2 * PI) - PI if name == "von-mises" else x
    flow.fit(
        x, validation=None, epochs=12, batch_size=200, optimizer=cf.Adam(5e-2),
        schedule="cosine", seed=0, progress=False,
    )  # fmt: skip
    found = [float(value[0]) for value in flow.parameters.values()]
    np.testing.assert_allclose(found, truth, atol=0.06)


class Tail:
    """The normal distribution above 3, of which SciPy does not know the end."""

    def sf(self, u: np.ndarray) -> np.ndarray:
        return stats.norm.sf(u) / stats.norm.sf(3.0)

    def isf(self, p: np.ndarray) -> np.ndarray:
        return stats.norm.isf(p * stats.norm.sf(3.0))

    def cdf(self, u: np.ndarray) -> np.ndarray:
        return stats.truncnorm(3.0, np.inf).cdf(u)

    def ppf(self, p: np.ndarray) -> np.ndarray:
        return stats.truncnorm(3.0, np.inf).ppf(p)


P = np.array([1e-300, 1e-100, 1e-16, 1e-3, 0.2, 0.5, 0.7, 0.999, 1 - 1e-10])
TAILS: dict[str, tuple[Any, Any]] = {
    "gumbel": (cf.Gumbel(loc=0.5, scale=2.0), stats.gumbel_r(0.5, 2.0)),
    "exponential": (cf.Exponential(scale=2.0), stats.expon(0, 2.0)),
    "gamma": (cf.Gamma(shape=2.5, scale=2.0), stats.gamma(2.5, 0, 2.0)),
    "gamma of a small shape": (cf.Gamma(shape=0.3), stats.gamma(0.3)),
    "gamma of a large shape": (cf.Gamma(shape=300.0), stats.gamma(300.0)),
    "beta": (cf.Beta(a=2.5, b=0.7), stats.beta(2.5, 0.7)),
    "narrow beta": (cf.Beta(a=30.0, b=20.0), stats.beta(30.0, 20.0)),
    "truncated": (
        cf.TruncatedNormal(low=-1.0, high=2.0, loc=0.5, scale=2.0),
        stats.truncnorm(-0.75, 0.75, 0.5, 2.0),
    ),
    "tail": (cf.TruncatedNormal(low=3.0), Tail()),
    "product": (cf.Product([cf.Gumbel()], [0]), stats.gumbel_r()),
}


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("name", TAILS)
def test_quantiles_of_flows_are_scipys(name: str, falling: bool) -> None:
    """Beside a layer that turns the direction, the other tail."""
    base, law = TAILS[name]
    flow = cf.Flow([cf.Affine(scale=-1.0)] if falling else [], 1, base=base, dtype="float64")
    expected = -law.isf(P) if falling else law.ppf(P)
    held = np.abs(expected) > 1e-300
    found = flow.quantile(P)
    np.testing.assert_allclose(found[held], expected[held], rtol=1e-11, atol=1e-13)
    u = -found if falling else found
    chance = (law.sf if falling else law.cdf)(u)
    # Near an end that is not 0, u is rounded to it.
    some = held & (chance > (1e-4 if "tr" in name or name == "tail" else 1e-280))
    np.testing.assert_allclose(flow.cdf(found)[some], chance[some], rtol=1e-10)


def test_tails_of_learned_and_conditional_shapes() -> None:
    flow = flow_of(cf.Gamma(conditioner=cf.MLP((4,))), 1, context_features=1)
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value += 0.5 * rng.normal(size=value.shape)
    contexts = np.array([[0.0], [1.0], [np.nan]])
    x = flow.quantile([0.1, 0.9], contexts)
    for i in (0, 1):
        samples = flow.sample(N, context=contexts[i], seed=0)
        np.testing.assert_allclose((samples <= x[i]).mean(axis=0), [0.1, 0.9], atol=0.01)
        np.testing.assert_allclose(flow.cdf(x[i], contexts[i]), [0.1, 0.9], rtol=1e-10)
    assert np.isnan(x[2]).all()


def test_angles_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="angles have none"):
        flow_of(cf.VonMises(), 1).cdf([0.5])


def mp_log_prob(name: str, a: Any, b: Any, x: Any) -> Any:
    a, b, x = mp.mpf(a), mp.mpf(b), mp.mpf(x)
    if name == "gamma":
        return (a - 1) * mp.log(x) - x - mp.loggamma(a)
    if name == "beta":
        log_beta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
        return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) - log_beta
    if name == "von-mises":
        return b * mp.cos(x - a) - mp.log(2 * mp.pi * mp.besseli(0, b))
    area = mp.quad(lambda t: mp.exp(-(t - a) * (t + a) / 2), [a, a + 1 / (1 + a), b, b + 0])
    return -(x - a) * (x + a) / 2 - mp.log(area)


EXTREME = [
    *[("gamma", a, 0, x) for a in (1e-5, 0.5, 7.9, 8.1) for x in (1e-30, 0.3, 100.0)],
    *[("gamma", a, 0, a + z * a**0.5) for a in (1e3, 1e7, 1e12) for z in (-3.0, 0.1, 2.0)],
    *[("beta", a, b, x) for a, b in ((1e-4, 1e-3), (0.5, 1e3), (1e5, 2.0)) for x in (1e-4, 0.75)],
    *[("beta", 1e8, 3e8, 0.25 + z * 2e-5) for z in (-3.0, 0.1, 2.0)],
    *[("von-mises", 0.25, k, 0.25 + z / k) for k in (0.01, 1.0, 30.0) for z in (0.01, 1e-3)],
    *[("von-mises", 0.25, k, 0.25 + z / k**0.5) for k in (1e3, 1e7) for z in (-2.0, 0.1)],
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_densities_of_extreme_parameters(dtype: str) -> None:
    """Of numbers that the dtype holds exactly, to a few of its units."""
    eps = float(np.finfo(dtype).eps)
    for name, a, b, x in EXTREME:
        a, b, x = (float(np.dtype(dtype).type(number)) for number in (a, b, x))
        base = {
            "gamma": lambda a=a: cf.Gamma(shape=a),
            "beta": lambda a=a, b=b: cf.Beta(a=a, b=b),
            "von-mises": lambda a=a, b=b: cf.VonMises(loc=a, concentration=b),
        }[name]()
        with mp.workdps(40):
            expected = float(mp_log_prob(name, a, b, x))
        flow = flow_of(base, 1, dtype=dtype)
        # What rounding x would change, for sums with it are rounded.
        conditioned = 4 * abs(x * float(flow.grad_log_prob([[x]])[0, 0])) + 64
        found = float(flow.log_prob([[x]])[0])
        close = pytest.approx(expected, rel=16 * eps, abs=conditioned * eps)
        assert found == close, (name, a, b, x)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 4e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("far", [0.0, 3.0, 40.0, 1e3, 1e6])
@pytest.mark.parametrize("width", [1e-6, 0.5, 30.0])
def test_truncated_normals_far_out_and_narrow(
    far: float, width: float, dtype: str, rtol: float
) -> None:
    """The density at t beyond the nearer end is exp(-far t - t^2 / 2) by its integral."""
    t = np.array([0.0, 0.3, 0.9]) * min(width, 2.0 / (1.0 + far))
    with mp.workdps(30):
        reach = mp.mpf(min(width, 100.0 / (1.0 + far)))
        nodes = [reach * k / 8 for k in range(9)]
        area = mp.quad(lambda s: mp.exp(-mp.mpf(far) * s - s * s / 2), nodes)
    expected = -far * t - t * t / 2 - float(mp.log(area))
    for sign in (1.0, -1.0):
        low, high = sorted((0.0, sign * width))
        flow = flow_of(cf.TruncatedNormal(low=low, high=high, loc=-sign * far), 1, dtype=dtype)
        found = flow.log_prob(sign * t[:, None])
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=4 * rtol)
        samples = np.abs(flow.sample(N, seed=0)[:, 0].astype(np.float64))
        if far >= 1e3 and width > 0.1:
            assert stats.kstest(samples * far, "expon").pvalue > 1e-3
        assert samples.max() <= width


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            lambda: cf.Exponential(scale=0.0),
            "Exponential: scale must be positive, got 0 at index 0",
        ),
        (lambda: cf.Gamma(shape=[1.0, -2.0]), "Gamma: shape must be positive, got -2 at index 1"),
        (lambda: cf.Beta(b=0.0), "Beta: b must be positive, got 0 at index 0"),
        (lambda: cf.VonMises(concentration=-1.0), "concentration must be positive, got -1"),
        (
            lambda: cf.Gamma(shape=2.0, conditioner=cf.MLP()),
            "Gamma: with a conditioner there is no shape, scale or learned",
        ),
        (
            lambda: cf.Exponential(learned=True, conditioner=cf.MLP()),
            "Exponential: with a conditioner there is no scale or learned",
        ),
        (lambda: flow_of(cf.Beta(conditioner=cf.MLP())), "Beta: a conditioner reads the context"),
        (lambda: flow_of(cf.Gamma(shape=[1.0, 2.0])), "Gamma: shape has 2 numbers, the flow has 3"),
        (
            lambda: flow_of(cf.TruncatedNormal(low=[0.0, 1.0])),
            "TruncatedNormal: low has 2 numbers, the flow has 3 features",
        ),
        (
            lambda: flow_of(cf.TruncatedNormal(low=0.0, high=[1.0, 0.0, 1.0])),
            "TruncatedNormal: low must be below high, got 0 and 0 at 1",
        ),
    ],
)
def test_what_is_wrong_is_told(base: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        base()


def test_products_hold_them_and_files_too(tmp_path: Any) -> None:
    parts = [
        cf.Gamma(shape=[2.0, 0.5], learned=True),
        cf.VonMises(concentration=3.0),
        cf.TruncatedNormal(low=-1.0, high=[1.0, 2.0]),
    ]
    flow = flow_of(cf.Product(parts, [0, 1, 2, 0, 2]), 5)
    laws = [
        stats.gamma(2.0), stats.vonmises(3.0), stats.truncnorm(-1, 1), stats.gamma(0.5),
        stats.truncnorm(-1, 2),
    ]  # fmt: skip
    x = flow.sample(50, seed=0)
    expected = sum(law.logpdf(x[:, f]) for f, law in enumerate(laws))
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-12)
    flow.save(tmp_path / "flow.safetensors")
    again = cf.load(tmp_path / "flow.safetensors")
    assert again.base == flow.base and repr(again) == repr(flow)
    np.testing.assert_array_equal(again.log_prob(x), flow.log_prob(x))
    np.testing.assert_array_equal(again.sample(50, seed=0), x)


def test_a_circular_spline_flow_has_one_as_its_base() -> None:
    spline = cf.Spline(5, bound=PI, tails="circular")
    layers = [cf.Elementwise(spline), cf.CircularShift(1.0), cf.Elementwise(spline)]
    flow = flow_of(cf.VonMises(loc=1.0, learned=True), 1)
    flow = cf.Flow([*layers, cf.CircularShift()], 1, base=flow.base, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value += 0.5 * rng.normal(size=value.shape)
    x = np.linspace(-PI, PI, 4001)[:-1, None]
    assert np.exp(flow.log_prob(x)).mean() * 2 * PI == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(flow.log_prob(x[::99] + 2 * PI), flow.log_prob(x[::99]), atol=1e-11)


@pytest.mark.parametrize("name", ["gumbel", "gamma", "truncated", "von-mises"])
def test_samples_do_not_depend_on_threads(name: str) -> None:
    flow = flow_of(BASES[name][0]())
    threads = cf.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            cf.set_num_threads(count)
            found.append(flow.sample(1500, seed=4))
    finally:
        cf.set_num_threads(threads)
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(flow.sample(700, seed=4, start=800), found[0][800:])
