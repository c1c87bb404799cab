"""Flow annealed importance sampling bootstrap, the loss ``alpha`` of `Flow.fit_target`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arguments import integer, real

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from . import _core

    Floats = NDArray[np.float64]
    # x -> log-density and, if the target gives one, its gradient
    Density = Callable[[NDArray[Any]], tuple[Floats, Floats | None]]

__all__ = ["Annealing"]

HMC_ACCEPTANCE, METROPOLIS_ACCEPTANCE = 0.65, 0.4  # that step sizes are adapted to
ADAPTATION = 0.5  # by exp(ADAPTATION (accepted - wanted)) a pass
FIRST_STEP_SIZE = 0.2  # in standard deviations of the flow's samples


@dataclass(frozen=True)
class Annealing:
    """How ``fit_target(loss="alpha")`` samples, and what it keeps.

    Parameters
    ----------
    distributions : int, default 1
        Intermediate distributions ``q**(1 - b) (p**2 / q)**b``, b equally spaced between 0 and 1.
    transition_steps : int, default 5
        Leapfrog steps of the Hamiltonian Monte Carlo transition at each of them; of a target
        without a gradient random-walk Metropolis steps. Step sizes are adapted to 65 % and 40 %
        of accepted moves, and scale with the standard deviations of the flow's samples.
    updates : int, default 4
        Steps of the optimiser after each pass of annealed samples.
    initial_batches, buffer_batches : int, default 8 and 64
        Passes before the first step, and passes that the buffer keeps, each of ``batch_size``
        samples.
    max_correction : float, default 10
        Bound of the weight's correction ``q_old(x) / q(x)``.

    Raises
    ------
    ValueError
        If one is out of range.
    """

    distributions: int = 1
    transition_steps: int = 5
    updates: int = 4
    initial_batches: int = 8
    buffer_batches: int = 64
    max_correction: float = 10.0

    def __post_init__(self) -> None:
        for name in ("distributions", "transition_steps", "updates", "initial_batches"):
            integer(name, getattr(self, name), 1)
        integer("buffer_batches", self.buffer_batches, self.initial_batches)
        if not real("max_correction", self.max_correction) >= 1.0:
            raise ValueError(f"max_correction must be 1 or more, got {self.max_correction}")


class Points(NamedTuple):
    """Samples on their way, with both densities and their gradients there."""

    x: NDArray[Any]
    log_q: Floats
    log_p: Floats
    grad_q: Floats | None
    grad_p: Floats | None

    def where(self, chosen: NDArray[np.bool_], other: Points) -> Points:
        """These points where chosen, else the others."""

        def merge(new: Any, old: Any) -> Any:
            if new is None:
                return None
            return np.where(chosen.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

        return Points(*(merge(new, old) for new, old in zip(self, other, strict=True)))

    def log_density(self, b: float) -> Floats:
        """log q**(1 - b) (p**2 / q)**b. NaN where neither density is known to be positive."""
        with np.errstate(invalid="ignore"):
            return (1.0 - 2.0 * b) * self.log_q + 2.0 * b * self.log_p

    def gradient(self, b: float) -> Floats:
        assert self.grad_q is not None and self.grad_p is not None
        return (1.0 - 2.0 * b) * self.grad_q + 2.0 * b * self.grad_p


class Pass(NamedTuple):
    """Samples that stand for p**2 / q, and those of the flow that they started from."""

    x: NDArray[Any]
    log_weight: Floats
    log_q: Floats
    start_log_weight: Floats  # log p - log q of the flow's samples


class Annealer:
    """Annealed importance sampling from the flow's density q to p**2 / q."""

    def __init__(
        self,
        trainer: _core.TargetTrainer,
        target: Density,
        settings: Annealing,
        batch_size: int,
        rng: np.random.Generator,
    ) -> None:
        self.trainer, self.target, self.settings = trainer, target, settings
        self.batch_size, self.rng = batch_size, rng
        self.drawn = 0
        self.betas = np.linspace(0.0, 1.0, settings.distributions + 2)
        self.step_size = np.full(settings.distributions, FIRST_STEP_SIZE)
        self._set_scale(self._sample()[0])

    def _sample(self) -> tuple[NDArray[Any], Floats]:
        self.drawn += self.batch_size
        return self.trainer.sample(self.drawn - self.batch_size, self.batch_size)

    def _set_scale(self, x: NDArray[Any]) -> None:
        """The unit of steps by feature, which must not depend on the samples it is used for."""
        spread = np.std(x, axis=0, dtype=np.float64)
        self.scale = np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0)

    def points(self, x: NDArray[Any], with_gradient: bool) -> Points:
        """The densities at x, which are finite numbers of the samples' dtype."""
        log_p, grad_p = self.target(x)
        if with_gradient and grad_p is not None:
            log_q, grad_q = self.trainer.score(x)
            return Points(x, log_q, log_p, grad_q, grad_p)
        return Points(x, self.trainer.log_prob(x), log_p, None, None)

    def run(self) -> Pass:
        """A pass of batch_size samples."""
        x, _ = self._sample()
        points = self.points(x, True)
        start = points.log_p - points.log_q
        log_weight = 2.0 * (self.betas[1] - self.betas[0]) * start
        wanted = METROPOLIS_ACCEPTANCE if points.grad_p is None else HMC_ACCEPTANCE
        move = self._metropolis if points.grad_p is None else self._hamiltonian
        alive = np.isfinite(start)
        for m, b in enumerate(self.betas[1:-1]):
            points, accepted = move(points, float(b), self.step_size[m] * self.scale)
            rate = float(np.mean(accepted[alive])) if alive.any() else wanted
            self.step_size[m] *= np.exp(ADAPTATION * (rate - wanted))
            with np.errstate(invalid="ignore"):
                ratio = points.log_p - points.log_q
            log_weight += np.where(alive, 2.0 * (self.betas[m + 2] - b) * ratio, 0.0)
        self._set_scale(x)
        return Pass(points.x, log_weight, points.log_q, start)

    def _accept(
        self, new: Points, old: Points, b: float, log_ratio: Floats | float
    ) -> NDArray[np.bool_]:
        """Metropolis; log_ratio is what the densities do not have. Points of no density, or of an
        unknown one, are refused."""
        with np.errstate(invalid="ignore"):
            found = new.log_density(b)
            change = found - old.log_density(b) + log_ratio
            log_uniform = np.log1p(-self.rng.random(len(change)))
            return np.isfinite(found) & (log_uniform < change)

    def _metropolis(self, old: Points, b: float, step: Floats) -> tuple[Points, Floats]:
        accepted = np.full(len(old.x), 0.0)
        for _ in range(self.settings.transition_steps):
            x = old.x + step * self.rng.standard_normal(old.x.shape)
            new = self.points(x.astype(old.x.dtype), False)
            chosen = self._accept(new, old, b, 0.0)
            old = new.where(chosen, old)
            accepted += chosen / self.settings.transition_steps
        return old, accepted

    def _hamiltonian(self, old: Points, b: float, step: Floats) -> tuple[Points, Floats]:
        """Leapfrog steps of one trajectory, whose mass is 1 / scale**2 (Neal 2011)."""
        features = tuple(range(1, old.x.ndim))
        first = momentum = self.rng.standard_normal(old.x.shape)
        lost = np.zeros(len(old.x), bool)
        new = old
        for _ in range(self.settings.transition_steps):
            with np.errstate(invalid="ignore", over="ignore"):
                momentum = momentum + 0.5 * step * new.gradient(b)
                x = (new.x + step * momentum).astype(old.x.dtype)
            lost |= ~np.isfinite(x).all(axis=features)
            new = self.points(np.where(_rows(lost, x), old.x, x), True)
            with np.errstate(invalid="ignore", over="ignore"):
                momentum = momentum + 0.5 * step * new.gradient(b)
        with np.errstate(invalid="ignore", over="ignore"):
            kinetic = 0.5 * np.sum(first**2 - momentum**2, axis=features)
        chosen = self._accept(new, old, b, kinetic) & ~lost
        return new.where(chosen, old), chosen.astype(np.float64)


def _rows(chosen: NDArray[np.bool_], x: NDArray[Any]) -> NDArray[np.bool_]:
    return chosen.reshape((-1,) + (1,) * (x.ndim - 1))


class ReplayBuffer:
    """The last samples of p**2 / q, drawn in proportion to their weights.

    The weights are those of the q of when they were last looked at, `log_q`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.added = capacity, 0
        self.log_weight = np.full(capacity, -np.inf)
        # np.zeros of NumPy 2.4 would leave a reference to its dtype behind.
        self.log_q = np.full(capacity, 0.0)
        self.x: NDArray[Any] | None = None

    def add(self, found: Pass) -> bool:
        """Adds the samples of positive weight in place of the oldest; whether there are any."""
        positive = np.isfinite(found.log_weight) & np.isfinite(found.log_q)
        n = int(positive.sum())
        if self.x is None:
            self.x = np.zeros((self.capacity, *found.x.shape[1:]), found.x.dtype)
        index = (self.added + np.arange(n)) % self.capacity
        self.x[index] = found.x[positive]
        self.log_weight[index] = found.log_weight[positive]
        self.log_q[index] = found.log_q[positive]
        self.added += n
        return n > 0

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return resample(self.log_weight, n, rng)

    def correct(self, index: NDArray[np.intp], log_q: Floats) -> Floats:
        """Sets the weights of samples, drawn by the former ones, to those of the present q: they
        are inverse to it. Returns the ratios of both."""
        change = self.log_q[index] - log_q
        self.log_weight[index] = self.log_weight[index] + change
        self.log_q[index] = log_q
        with np.errstate(over="ignore"):
            return np.exp(change)


def resample(log_weight: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """n indices, each expected in proportion to its weight: systematic resampling (Carpenter,
    Clifford and Fearnhead 1999)."""
    total = np.cumsum(np.exp(log_weight - log_weight.max()))
    places = (np.arange(n) + rng.random()) / n * total[-1]
    last = int(np.flatnonzero(np.isfinite(log_weight))[-1])
    found: NDArray[np.intp] = np.minimum(np.searchsorted(total, places, side="right"), last)
    return found
