"""Awkward columns, every recipe, both dtypes: held-out nats beside the exact ones.

    python benchmarks/columns.py [--recipes maf nsf] [--columns NAME ...]

Every table has two columns, the awkward one and a normal one that depends on it. A row of the
output is a column: for each recipe and dtype the nats that held-out rows lack to their density or,
where the same recipe in float64 on hand-standardised data lacks more, to that. ``!`` stands for a
DataWarning or an error, which is the right outcome of columns that have no density. The exit status
is 1 if a number is above 0.1 and nothing was said.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import cflows as cf
import numpy as np
from scipy import special, stats

ROWS, EPOCHS = 2000, 60
Array = np.ndarray
RECIPES = {
    "realnvp": lambda n, **o: cf.realnvp(n, 4, hidden=(32,), **o),
    "nice": lambda n, **o: cf.nice(n, 4, hidden=(32,), **o),
    "maf": lambda n, **o: cf.maf(n, 3, hidden=(32,), **o),
    "iaf": lambda n, **o: cf.iaf(n, 3, hidden=(32,), **o),
    "nsf": lambda n, **o: cf.nsf(n, 3, hidden=32, blocks=1, **o),
    "nsf_ar": lambda n, **o: cf.nsf_ar(n, 2, hidden=32, blocks=1, **o),
    "ncsf": lambda n, **o: cf.ncsf(n, 3, hidden=32, **o),
    "glow1d": lambda n, **o: cf.glow1d(n, 4, hidden=(32,), **o),
}
SPLINES = ("nsf", "nsf_ar", "ncsf")


class Case(NamedTuple):
    """A column as a function of a standard normal."""

    of: Callable[[Array], Array]
    slope: Callable[[Array], Array] | None = None  # log of its slope; None: by probabilities
    kind: cf.Column = cf.real
    by_hand: Callable[[Array], tuple[Array, Array]] = lambda x: (x, np.zeros(len(x)))
    jitter: float = 0.0
    said: bool = False  # a DataWarning is expected
    log_prob: Callable[[Array], Array] | None = None  # of the column alone, independent of the next


def logs(x: Array) -> tuple[Array, Array]:
    return np.log(x), -np.log(x)


def logits(low: float, high: float) -> Callable[[Array], tuple[Array, Array]]:
    def by_hand(x: Array) -> tuple[Array, Array]:
        p, q = (x - low) / (high - low), (high - x) / (high - low)
        return np.log(p) - np.log(q), -np.log(p) - np.log(q) - np.log(high - low)

    return by_hand


def affine(shift: float, scale: float, **options: Any) -> Case:
    return Case(lambda z: shift + scale * z, lambda z: np.full(len(z), np.log(scale)), **options)


def by_quantiles(base: Any, shift: float = 0.0, scale: float = 1.0, **options: Any) -> Case:
    """A column of another distribution: of SciPy's `base`."""

    def of(z: Array) -> Array:
        lower = base.ppf(stats.norm.cdf(np.minimum(z, 0.0)))
        return shift + scale * np.where(z < 0.0, lower, base.isf(stats.norm.sf(np.maximum(z, 0.0))))

    def slope(z: Array) -> Array:
        return stats.norm.logpdf(z) - base.logpdf((of(z) - shift) / scale) + np.log(scale)

    return Case(of, slope, **options)


def within(low: float, high: float, of: Callable[[Array], Array], slope: Any) -> Case:
    return Case(of, slope, cf.interval(low, high), logits(low, high))


def on_circle(period: float, turns: float = 0.0, width: float = 0.5) -> Case:
    """An angle around 0, where the seam is, after many turns."""
    kappa, rng = 1.0 / width**2, np.random.default_rng(5)

    def of(z: Array) -> Array:
        angle = stats.vonmises.ppf(stats.norm.cdf(z), kappa)
        whole = np.floor(turns * rng.uniform(size=len(z)))
        return period * (angle / (2 * np.pi) + whole) % (period * max(1.0, np.ceil(turns)))

    def log_prob(x: Array) -> Array:
        return stats.vonmises.logpdf(2 * np.pi * (x / period % 1.0), kappa) - np.log(
            period / (2 * np.pi)
        )

    return Case(of, kind=cf.circular(period), log_prob=log_prob)


def discrete(base: Any, kind: cf.Column = cf.count, **options: Any) -> Case:
    return Case(
        lambda z: base.ppf(stats.norm.cdf(z)), kind=kind, log_prob=lambda x: base.logpmf(x),
        **options,
    )  # fmt: skip


def no_density(of: Callable[[Array], Array]) -> Case:
    return Case(of, said=True)


def numbered(z: Array) -> Array:
    return np.arange(len(z), dtype=float)


def sometimes(every: int, value: float) -> Callable[[Array], Array]:
    return lambda z: np.where(np.arange(len(z)) % every == 0, value, z)


CASES: dict[str, Case] = {
    "standard normal": affine(0, 1),
    "offset 1e4": affine(1e4, 1),
    "offset -1e6, width 10": affine(-1e6, 10),
    "time stamps": affine(1.126e9, 0.05),
    "Julian dates": affine(2459000.5, 1e-3),
    "nanoseconds since 1970": affine(1.7e18, 3e12),
    "scale 1e50": affine(0, 1e50),
    "scale 1e-50": affine(0, 1e-50),
    "scale 1e300": affine(0, 1e300),
    "scale 1e-300": affine(0, 1e-300),
    "scale 1e38": affine(3e38, 1e38),
    "gamma": by_quantiles(stats.gamma(2)),
    "exponential": by_quantiles(stats.expon),
    "lognormal": by_quantiles(stats.lognorm(1.0)),
    "uniform": by_quantiles(stats.uniform, 5, 1e-3),
    "Student's t, 3": by_quantiles(stats.t(3)),
    "Student's t, 1.5": by_quantiles(stats.t(1.5), said=True),
    "two modes": Case(lambda z: z / 2 + 3 * np.sign(z), lambda z: np.full(len(z), -np.log(2))),
    "float16": Case(lambda z: (100 + z).astype(np.float16).astype(float), said=True),
    "two decimals": affine(0, 1)._replace(of=lambda z: np.floor(z * 100) / 100, jitter=0.01),
    "integers": affine(0, 100)._replace(of=lambda z: np.floor(z * 100), jitter=1.0),
    "integers near 1e12": affine(1e12, 1e4)._replace(
        of=lambda z: np.floor(1e12 + z * 1e4), jitter=1.0
    ),
    "positive, narrow": affine(938.272, 0.005, kind=cf.positive, by_hand=logs),
    "positive, decades": Case(
        lambda z: np.exp(5 * z - 40), lambda z: np.log(5) + 5 * z - 40, cf.positive, logs
    ),
    "positive, tiny": affine(1e-300, 1e-301, kind=cf.positive, by_hand=logs),
    "positive, huge": affine(1e200, 1e199, kind=cf.positive, by_hand=logs),
    "positive, near 0": by_quantiles(stats.gamma(0.5), kind=cf.positive, by_hand=logs),
    "within bounds, narrow": within(
        0, 2000, lambda z: 1000 + 0.05 * z, lambda z: np.full(len(z), np.log(0.05))
    ),
    "near an end": within(0, 1, lambda z: 1 - np.exp(z - 12), lambda z: z - 12),
    "tiny bounds": within(
        -1e-8, 1e-8, lambda z: 1e-8 * np.tanh(z), lambda z: np.log(1e-8) - 2 * np.log(np.cosh(z))
    ),
    "bounds far out": within(
        1e6, 1e6 + 1, lambda z: 1e6 + special.expit(z),
        lambda z: np.log(special.expit(z)) + np.log(special.expit(-z)),
    ),
    "uniform within bounds": by_quantiles(
        stats.uniform, kind=cf.interval(0, 1), by_hand=logits(0, 1)
    ),
    "both ends": by_quantiles(stats.beta(0.5, 0.5), kind=cf.interval(0, 1), by_hand=logits(0, 1)),
    "angles": on_circle(2 * np.pi),
    "hours": on_circle(24),
    "degrees, after many turns": on_circle(360, 1e6),
    "pulsar phases of an hour": on_circle(0.0334, 3600 / 0.0334),
    "period 1e9": on_circle(1e9),
    "degrees on an arc": affine(180.0, 1.0, kind=cf.circular(360)),
    "arcseconds at the seam": affine(359.9999, 3e-4, kind=cf.circular(360)),
    "counts": discrete(stats.poisson(8)),
    "counts near 0": discrete(stats.poisson(0.3)),
    "counts near 3e7": discrete(stats.poisson(3e7)),
    "stars": discrete(stats.binom(4, 0.6), cf.ordinal(5)),
    "yes or no": discrete(stats.bernoulli(0.2), cf.ordinal(2)),
    "bytes": discrete(stats.binom(255, 0.3), cf.ordinal(256)),
    "constant": no_density(lambda z: np.full(len(z), 7.0)),
    "constant, large": no_density(lambda z: np.full(len(z), 1e30)),
    "row numbers": no_density(numbered),
    "whole numbers": no_density(lambda z: np.floor(10 * z)),
    "a sentinel": no_density(sometimes(20, -99.0)),
    "zeros": no_density(sometimes(10, 0.0)),
    "wild numbers": no_density(sometimes(500, 1e6)),
    "tenths": no_density(lambda z: np.round(z, 1)),
    "a few zeros": no_density(sometimes(200, 0.0)),
    "repeated": no_density(lambda z: np.resize(z[: len(z) // 50], len(z))),
}  # fmt: skip


# Contexts of a normal column of deviation 0.2 around twice the number that they hold.
CONTEXTS: dict[str, Callable[[Array], Array]] = {
    "context: 2000 + 10 z": lambda z: 2000 + 10 * z,
    "context: 1e6 + z": lambda z: 1e6 + z,
    "context: time stamps": lambda z: 1.126e9 + 0.05 * z,
    "context: 1e50 z": lambda z: 1e50 * z,
    "context: 1e-50 z": lambda z: 1e-50 * z,
    "context: and a constant": lambda z: np.column_stack([z, np.full(len(z), 7.0)]),
    "context: whole numbers": lambda z: np.floor(1000 * z),
    "context: exponential": lambda z: np.exp(z),
}


def of_context(name: str, seed: int) -> tuple[Array, Array, float]:
    """Rows, their context, and the mean log-density."""
    z, noise = np.random.default_rng(seed).normal(size=(2, ROWS))
    context = CONTEXTS[name](z).reshape(ROWS, -1)
    return (2 * z + 0.2 * noise)[:, None], context, stats.norm.logpdf(noise).mean() - np.log(0.2)


def learned_with_context(recipe: str, x: Array, context: Array, dtype: str) -> cf.Flow:
    flow = RECIPES[recipe](1, context_features=context.shape[1], dtype=dtype, seed=0)
    flow.fit(
        x, context, epochs=EPOCHS, patience=15, batch_size=64, optimizer=cf.Adam(3e-3), seed=0,
        progress=False,
    )  # fmt: skip
    return flow


def lacking_of_context(name: str, recipe: str, dtype: str) -> tuple[float | None, str]:
    (x, context, _), (y, given, exact) = of_context(name, 1), of_context(name, 2)
    found = learned_with_context(recipe, x, context, dtype).log_prob(y, given).mean()
    if not found > exact - 0.1:
        # The difference first, which large numbers overflow in squares and lose in sums.
        unit = np.abs(context - context[0]).max(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        scaled, other = (context - context[0]) / unit, (given - context[0]) / unit
        mean, scale = scaled.mean(axis=0), np.where(scaled.std(axis=0) > 0, scaled.std(axis=0), 1.0)
        hand = learned_with_context(recipe, x, (scaled - mean) / scale, "float64")
        exact = min(exact, hand.log_prob(y, (other - mean) / scale).mean())
    return float(exact - found), ""


def table(case: Case, seed: int) -> tuple[Array, Array | None]:
    """Rows and their log-densities, if they have any."""
    rng = np.random.default_rng(seed)
    z, noise = rng.normal(size=(2, ROWS))
    x = case.of(z)
    if case.log_prob is not None:
        return np.column_stack([x, noise]), case.log_prob(x) + stats.norm.logpdf(noise)
    y = 0.8 * z + 0.6 * noise
    rows = np.column_stack([x, y])
    if case.slope is None:
        return rows, None
    log_prob = stats.norm.logpdf(z) - case.slope(z) + stats.norm.logpdf(noise) - np.log(0.6)
    return rows, log_prob


def learned(recipe: str, x: Array, columns: list[cf.Column], dtype: str, jitter: Any) -> cf.Flow:
    flow = RECIPES[recipe](2, columns=columns, dtype=dtype, seed=0)
    flow.fit(
        x, epochs=EPOCHS, patience=10, batch_size=128, optimizer=cf.Adam(3e-3), jitter=jitter,
        seed=0, progress=False,
    )  # fmt: skip
    return flow


def score(flow: cf.Flow, x: Array, jitter: float) -> float:
    noise = np.random.default_rng(9).uniform(size=len(x)) * jitter
    return float(flow.log_prob(x + np.column_stack([noise, np.zeros(len(x))])).mean())


def reference(recipe: str, case: Case, train: Array, test: Array) -> float:
    """The nats of the recipe in float64 on data standardised by hand."""
    noise = np.random.default_rng(8).uniform(size=len(train)) * case.jitter
    (a, _), (b, log_det) = case.by_hand(train[:, 0] + noise), case.by_hand(test[:, 0])
    unit = np.abs(a - a[0]).max()
    mean, scale = a[0] + np.mean(a - a[0]), unit * np.std((a - a[0]) / unit)
    x, y = (np.column_stack([(c - mean) / scale, t[:, 1]]) for c, t in ((a, train), (b, test)))
    flow = learned(recipe, x, [cf.real, cf.real], "float64", None)
    return float((flow.log_prob(y) + log_det - np.log(scale)).mean())


def lacking(job: tuple[str, str, str]) -> tuple[float | None, str]:
    """The nats that are missing, or None; and what was said."""
    name, recipe, dtype = job
    if name in CONTEXTS:
        return lacking_of_context(*job)
    case = CASES[name]
    (train, _), (test, log_prob) = table(case, 1), table(case, 2)
    jitter = [case.jitter, 0.0] if case.jitter else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            flow = learned(recipe, train, [case.kind, cf.real], dtype, jitter)
        except (ValueError, cf.NumericalError) as error:
            return None, f"{type(error).__name__}: {error}"
    said = "; ".join(str(w.message) for w in caught if w.category is cf.DataWarning)
    if log_prob is None:
        return None, said
    found, exact = score(flow, test, case.jitter), float(log_prob.mean())
    if not found > exact - 0.1 and case.log_prob is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exact = min(exact, reference(recipe, case, train, test))
    return exact - found, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--columns", nargs="+", default=[*CASES, *CONTEXTS])
    parser.add_argument("--verbose", action="store_true", help="show what is said")
    chosen = parser.parse_args()
    cf.set_num_threads(1)
    jobs = [
        (name, recipe, dtype)
        for name in chosen.columns
        for recipe in chosen.recipes
        if recipe in SPLINES or name in CONTEXTS or CASES[name].kind.kind != "circular"
        for dtype in ("float32", "float64")
    ]
    wrong = 0
    with ProcessPoolExecutor(2) as pool:
        results = dict(zip(jobs, pool.map(lacking, jobs), strict=True))
    print(f"{'':26}" + "".join(f"{recipe:>16}" for recipe in chosen.recipes))
    for name in chosen.columns:
        cells = []
        for recipe in chosen.recipes:
            cell = ""
            for dtype in ("float32", "float64"):
                if (name, recipe, dtype) not in results:
                    continue
                nats, said = results[name, recipe, dtype]
                bad = not said and not (nats is not None and nats < 0.1)
                wrong += bad
                cell += f" {'' if nats is None else f'{nats:.2f}'}{'!' if said else ''}{'*' * bad}"
                if chosen.verbose and said:
                    print(f"{name}, {recipe}, {dtype}: {said}", file=sys.stderr)
            cells.append(f"{cell:>16}")
        print(f"{name:26}" + "".join(cells), flush=True)
    print(f"{len(jobs)} fits, {wrong} of them wrong without a word")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
