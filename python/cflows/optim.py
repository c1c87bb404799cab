"""Optimisers and learning-rate schedules: what `Flow.fit` is told, and the core carries out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Optimizer", "Plateau", "Schedule"]

Numbers = tuple[int, float, float, float, float, float, float]


@dataclass(frozen=True)
class Adam:
    """Adam.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``, and the
    step is ``-learning_rate m' / (sqrt(v') + epsilon)`` with ``m'`` and ``v'`` corrected for their
    start at 0. `weight_decay` times the parameter is added to its gradient.

    References
    ----------
    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def _numbers(self) -> Numbers:
        return (
            0,
            self.learning_rate,
            self.beta1,
            self.beta2,
            self.epsilon,
            0.0,
            self.weight_decay,
        )


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay: parameters shrink by ``1 - learning_rate weight_decay``.

    References
    ----------
    Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def _numbers(self) -> Numbers:
        return (1, *Adam._numbers(self)[1:])  # type: ignore[arg-type]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: ``m = momentum m + g``, and the step is ``-learning_rate m``."""

    learning_rate: float = 1e-2
    momentum: float = 0.0
    weight_decay: float = 0.0

    def _numbers(self) -> Numbers:
        return (2, self.learning_rate, 0.0, 0.0, 1.0, self.momentum, self.weight_decay)


Optimizer = Adam | AdamW | SGD

ScheduleNumbers = tuple[int, int, float, float, int]


@dataclass(frozen=True)
class Constant:
    """The same rate throughout, after `warmup` steps over which it rises linearly."""

    warmup: int = 0

    def _numbers(self) -> ScheduleNumbers:
        return (0, self.warmup, 0.0, 0.5, 1)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine wave from the full rate down to `final` times it, after a linear warm-up.

    References
    ----------
    Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """

    warmup: int = 0
    final: float = 0.0

    def _numbers(self) -> ScheduleNumbers:
        return (1, self.warmup, self.final, 0.5, 1)


@dataclass(frozen=True)
class Plateau:
    """The rate is multiplied by `factor` after `patience` epochs without a better loss.

    The loss is the validation loss, or the training loss without validation; the rate does not
    fall below `final` times the full one.
    """

    factor: float = 0.5
    patience: int = 10
    warmup: int = 0
    final: float = 0.0

    def _numbers(self) -> ScheduleNumbers:
        return (2, self.warmup, self.final, self.factor, self.patience)


Schedule = Constant | Cosine | Plateau
