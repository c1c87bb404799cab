"""Losses of `fit_target` at equal numbers of evaluations of the target.

    python benchmarks/targets.py [--quick] [--evaluations N] [--seeds N] [--targets NAME ...]

Three targets with known integrals: a mixture of 40 normals in the plane and Many Well in 32
dimensions as in Midgley et al. 2023 (arXiv:2208.01893), and Neal's funnel in 10. The same flow,
batch, optimiser and schedule learn each by every loss, until the target has been evaluated as often
as was asked. Told are, as medians over the seeds: the effective sample size of the flow's samples
(reverse) and of exact samples (forward), as a percentage, the error of the logarithm of the
integral in nats, and the seconds of the fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import cflows as cf
import numpy as np

from table import figure, markdown

BATCH, RATE = 256, 1e-3
ROWS = 50_000  # that a flow is scored by

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Problem:
    features: int
    scale: float  # of the flow before it has learned anything
    bound: float  # of its splines, in this unit
    layers: int
    log_evidence: float
    target: Callable[[np.ndarray], Pair]
    sample: Callable[[int, np.random.Generator], np.ndarray]


def forty_normals() -> Problem:
    """Means uniform on [-40, 40]^2, standard deviations softplus(1), equal weights."""
    means = np.random.default_rng(0).uniform(-40.0, 40.0, (40, 2))
    deviation = np.log1p(np.exp(1.0))
    log_factor = -np.log(40 * 2 * np.pi * deviation**2)

    def target(x: np.ndarray) -> Pair:
        z = (np.asarray(x, np.float64)[:, None] - means) / deviation
        exponent = -0.5 * np.sum(z**2, 2)
        largest = exponent.max(1, keepdims=True)
        weights = np.exp(exponent - largest)
        total = weights.sum(1, keepdims=True)
        gradient = -np.einsum("nk,nkd->nd", weights / total, z) / deviation
        return log_factor + (largest + np.log(total))[:, 0], gradient

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        return means[rng.integers(0, 40, n)] + deviation * rng.normal(size=(n, 2))

    return Problem(2, 20.0, 4.0, 8, 0.0, target, sample)


def many_well() -> Problem:
    """16 copies of exp(-a^4 + 6 a^2 + a / 2 - b^2 / 2), so 2^16 modes. Nothing of it but a and b of
    a copy depend on each other: quadrature on a line has the integral, and exact samples."""
    copies = 16
    grid = np.linspace(-4.0, 4.0, 40_001)
    density = np.exp(-(grid**4) + 6 * grid**2 + 0.5 * grid)
    # The trapezoidal rule, which converges fast as both ends vanish.
    integral = density.sum() * (grid[1] - grid[0])
    cumulative = np.cumsum(density) / density.sum()

    def target(x: np.ndarray) -> Pair:
        x = np.asarray(x, np.float64)
        a, b = x[:, 0::2], x[:, 1::2]
        gradient = np.empty_like(x)
        gradient[:, 0::2] = -4 * a**3 + 12 * a + 0.5
        gradient[:, 1::2] = -b
        return np.sum(-(a**4) + 6 * a**2 + 0.5 * a - 0.5 * b**2, 1), gradient

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        x = rng.normal(size=(n, 2 * copies))
        x[:, 0::2] = np.interp(rng.random((n, copies)), cumulative, grid)
        return x

    log_evidence = copies * float(np.log(integral) + 0.5 * np.log(2 * np.pi))
    return Problem(2 * copies, 1.5, 4.0, 8, log_evidence, target, sample)


def funnel() -> Problem:
    """v normal of standard deviation 3, nine features normal of variance exp(v)."""
    features = 10
    log_factor = -np.log(3.0) - 0.5 * features * np.log(2 * np.pi)

    def target(x: np.ndarray) -> Pair:
        x = np.asarray(x, np.float64)
        v, rest = x[:, 0], x[:, 1:]
        with np.errstate(over="ignore", invalid="ignore"):
            precision = np.exp(-v)
            squares = np.sum(rest**2, 1) * precision
            gradient = np.empty_like(x)
            gradient[:, 0] = -v / 9.0 - 0.5 * (features - 1) + 0.5 * squares
            gradient[:, 1:] = -rest * precision[:, None]
            return log_factor - v**2 / 18.0 - 0.5 * (features - 1) * v - 0.5 * squares, gradient

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        x = rng.normal(size=(n, features))
        x[:, 0] *= 3.0
        x[:, 1:] *= np.exp(0.5 * x[:, :1])
        return x

    return Problem(features, 1.0, 8.0, 8, 0.0, target, sample)


PROBLEMS = {"40 normals": forty_normals, "Many Well 32": many_well, "funnel 10": funnel}
LOSSES: dict[str, dict[str, Any]] = {
    "reverse_kl": {"loss": "reverse_kl"},
    "reverse_kl, path": {"loss": "reverse_kl", "path_gradient": True},
    "forward_kl": {"loss": "forward_kl"},
    "alpha (FAB)": {"loss": "alpha"},
}


def new_flow(problem: Problem, seed: int) -> cf.Flow:
    layers: list[cf.Layer] = []
    for _ in range(problem.layers):
        spline = cf.Spline(8, bound=problem.bound)
        layers += [cf.Coupling("half", transform=spline, hidden=(64, 64)), cf.Linear()]
    return cf.Flow([*layers, cf.Affine(scale=problem.scale)], problem.features, seed=seed)


def steps_of(options: dict[str, Any], evaluations: int) -> int:
    """How many steps evaluate the target so often."""
    if options["loss"] != "alpha":
        return max(1, evaluations // BATCH)
    settings = cf.Annealing()
    a_pass = BATCH * (1 + settings.distributions * settings.transition_steps)
    passes = evaluations // a_pass - (settings.initial_batches - 1)
    return max(1, passes) * settings.updates


def forward_size(flow: cf.Flow, problem: Problem, x: np.ndarray) -> float:
    """Z / E_p[p / q], the effective sample size of samples of q, by those of p."""
    log_w = problem.target(x)[0] - flow.log_prob(x) - problem.log_evidence
    largest = log_w.max()
    return float(np.exp(-largest) / np.mean(np.exp(log_w - largest)))


def measure(problem: Problem, options: dict[str, Any], evaluations: int, seed: int) -> list[float]:
    flow, start = new_flow(problem, seed), time.perf_counter()
    history = flow.fit_target(
        problem.target,
        steps=steps_of(options, evaluations),
        batch_size=BATCH,
        optimizer=cf.Adam(RATE),
        schedule="cosine",
        seed=seed,
        **options,
    )
    seconds = time.perf_counter() - start
    found = flow.importance_sample(problem.target, ROWS, seed=seed + 1)
    x = problem.sample(ROWS, np.random.default_rng(seed + 2))
    return [
        100.0 * found.effective_sample_size / ROWS,
        100.0 * forward_size(flow, problem, x),
        found.log_evidence - problem.log_evidence,
        float(history.evaluations[-1]),
        seconds,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the evaluations")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--targets", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    options = parser.parse_args()
    evaluations = options.evaluations // (20 if options.quick else 1)
    lines = []
    for name in options.targets:
        problem = PROBLEMS[name]()
        for loss, given in LOSSES.items():
            runs = [measure(problem, given, evaluations, seed) for seed in range(options.seeds)]
            reverse, forward, error, count, seconds = (median(c) for c in zip(*runs, strict=True))
            cells = [figure(reverse), figure(forward), f"{error:+.3f}", f"{count:,.0f}"]
            lines.append([name, loss, *cells, figure(seconds)])
    header = ["target", "loss", "reverse ESS, %", "forward ESS, %", "error of log Z", "evaluations"]
    print(markdown([*header, "s"], lines, names=2))


if __name__ == "__main__":
    main()
