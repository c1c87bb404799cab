"""Optimisers and learning-rate schedules: what `Flow.fit` is told, and the core carries out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from .arguments import integer, real

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Optimizer", "Plateau", "Schedule"]

# What the core is told: name, learning_rate, beta1, beta2, epsilon, momentum, weight_decay.
OptimizerSettings = tuple[str, float, float, float, float, float, float]
# Name, warmup, final, factor, patience.
ScheduleSettings = tuple[str, int, float, float, int]

# What a setting must be, by name, in words and as a test. What the flow's dtype makes of it is for
# the core to look at.
_REALS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": ("positive and finite", lambda value: 0.0 < value < math.inf),
    "beta1": ("from 0 to below 1", lambda value: 0.0 <= value < 1.0),
    "beta2": ("from 0 to below 1", lambda value: 0.0 <= value < 1.0),
    "epsilon": ("positive and finite", lambda value: 0.0 < value < math.inf),
    "momentum": ("from 0 to below 1", lambda value: 0.0 <= value < 1.0),
    "weight_decay": ("0 or more, and finite", lambda value: 0.0 <= value < math.inf),
    "final": ("from 0 to 1", lambda value: 0.0 <= value <= 1.0),
    "factor": ("between 0 and 1", lambda value: 0.0 < value < 1.0),
}
_LEAST = {"warmup": 0, "patience": 1}


class _Settings:
    """Dataclasses whose numbers are checked, and made Python's own: equal ones look the same."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = _checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)


def _checked(name: str, value: object) -> int | float:
    if name in _LEAST:
        return integer(name, value, _LEAST[name])
    wanted, holds = _REALS[name]
    number = real(name, value) + 0.0  # -0.0 becomes 0.0
    if not holds(number):
        raise ValueError(f"{name} must be {wanted}, got {number!r}")
    return number


@dataclass(frozen=True)
class Adam(_Settings):
    """Adam.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``, and the
    step is ``-learning_rate m' / (sqrt(v') + epsilon)`` with ``m'`` and ``v'`` corrected for their
    start at 0. `weight_decay` times the parameter is added to its gradient ``g``, after clipping.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        Above 0.
    beta1, beta2 : float, default 0.9, 0.999
        From 0 to below 1.
    epsilon : float, default 1e-8
        Above 0.
    weight_decay : float, default 0
        0 or more.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number.

    References
    ----------
    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.Adam(3e-4)
    Adam(learning_rate=0.0003, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0)
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def _settings(self) -> OptimizerSettings:
        moments = (self.beta1, self.beta2, self.epsilon)
        return ("adam", self.learning_rate, *moments, 0.0, self.weight_decay)


@dataclass(frozen=True)
class AdamW(_Settings):
    """Adam with decoupled weight decay: parameters shrink by ``1 - learning_rate weight_decay``.

    The rate is the schedule's, so that the decay follows it.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float
        As of `Adam`.
    weight_decay : float, default 0.01
        0 or more.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number.

    References
    ----------
    Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.AdamW(3e-4, weight_decay=0.1).weight_decay
    0.1
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def _settings(self) -> OptimizerSettings:
        moments = (self.beta1, self.beta2, self.epsilon)
        return ("adamw", self.learning_rate, *moments, 0.0, self.weight_decay)


@dataclass(frozen=True)
class SGD(_Settings):
    """Stochastic gradient descent: ``m = momentum m + g``, and the step is ``-learning_rate m``.

    `weight_decay` times the parameter is added to its gradient ``g``, after clipping.

    Parameters
    ----------
    learning_rate : float, default 1e-2
        Above 0.
    momentum : float, default 0
        From 0 to below 1.
    weight_decay : float, default 0
        0 or more.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number.

    References
    ----------
    Sutskever et al. 2013, On the importance of initialization and momentum in deep learning.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.0)
    """

    learning_rate: float = 1e-2
    momentum: float = 0.0
    weight_decay: float = 0.0

    def _settings(self) -> OptimizerSettings:
        return ("sgd", self.learning_rate, 0.0, 0.0, 1.0, self.momentum, self.weight_decay)


Optimizer = Adam | AdamW | SGD


@dataclass(frozen=True)
class Constant(_Settings):
    """The same rate throughout, after a linear warm-up.

    Parameters
    ----------
    warmup : int, default 0
        Steps over which the rate rises linearly to the full one.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number, or no int where an int is wanted.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.Constant(warmup=100)
    Constant(warmup=100)
    """

    warmup: int = 0

    def _settings(self) -> ScheduleSettings:
        return ("constant", self.warmup, 0.0, 0.5, 1)


@dataclass(frozen=True)
class Cosine(_Settings):
    """Half a cosine wave from the full rate down to `final` times it, after a linear warm-up.

    Parameters
    ----------
    warmup : int, default 0
        Steps over which the rate rises linearly to the full one.
    final : float, default 0
        From 0 to 1: what the rate is multiplied by in the end.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number, or no int where an int is wanted.

    References
    ----------
    Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.Cosine(final=0.01)
    Cosine(warmup=0, final=0.01)
    """

    warmup: int = 0
    final: float = 0.0

    def _settings(self) -> ScheduleSettings:
        return ("cosine", self.warmup, self.final, 0.5, 1)


@dataclass(frozen=True)
class Plateau(_Settings):
    """The rate falls when the loss does not: the validation loss, or without it the training loss.

    Parameters
    ----------
    factor : float, default 0.5
        Between 0 and 1: what the rate is multiplied by.
    patience : int, default 10
        Epochs without a better loss before that.
    warmup : int, default 0
        Steps over which the rate rises linearly to the full one.
    final : float, default 0
        From 0 to 1: the rate does not fall below so much of the full one.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is no number, or no int where an int is wanted.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.Plateau(factor=0.1, patience=5)
    Plateau(factor=0.1, patience=5, warmup=0, final=0.0)
    """

    factor: float = 0.5
    patience: int = 10
    warmup: int = 0
    final: float = 0.0

    def _settings(self) -> ScheduleSettings:
        return ("plateau", self.warmup, self.final, self.factor, self.patience)


Schedule = Constant | Cosine | Plateau


def checked_optimizer(optimizer: object) -> Optimizer:
    """Adam for None; TypeError for what is no optimizer."""
    if optimizer is None:
        return Adam()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Adam, AdamW or SGD, got {optimizer!r}")
    return optimizer


SCHEDULES: dict[str, type[Schedule]] = {"constant": Constant, "cosine": Cosine, "plateau": Plateau}
STEP_SCHEDULES = ("constant", "cosine")  # a plateau needs epochs


def checked_schedule(given: object, names: Iterable[str]) -> Any:
    """A schedule of one of these names as it is by default, or one that is given."""
    kinds = {name: SCHEDULES[name] for name in names}
    if isinstance(given, str) and given in kinds:
        return kinds[given]()
    if isinstance(given, tuple(kinds.values())):
        return given
    *known, last = [*map(repr, kinds), *(kind.__name__ for kind in kinds.values())]
    error = ValueError if isinstance(given, (str, Schedule)) else TypeError
    raise error(f"schedule must be {', '.join(known)} or {last}, got {given!r}")
