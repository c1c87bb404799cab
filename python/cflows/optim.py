"""Optimisers and learning-rate schedules: what `Flow.fit` is told, and the core carries out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Optimizer", "Plateau", "Schedule"]

# What the core is told: name, learning_rate, beta1, beta2, epsilon, momentum, weight_decay.
OptimizerSettings = tuple[str, float, float, float, float, float, float]
# Name, warmup, final, factor, patience.
ScheduleSettings = tuple[str, int, float, float, int]


@dataclass(frozen=True)
class Adam:
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
class AdamW:
    """Adam with decoupled weight decay: parameters shrink by ``1 - learning_rate weight_decay``.

    The rate is the schedule's, so that the decay follows it.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float
        As of `Adam`.
    weight_decay : float, default 0.01
        0 or more.

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
class SGD:
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
class Constant:
    """The same rate throughout, after a linear warm-up.

    Parameters
    ----------
    warmup : int, default 0
        Steps over which the rate rises linearly to the full one.

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
class Cosine:
    """Half a cosine wave from the full rate down to `final` times it, after a linear warm-up.

    Parameters
    ----------
    warmup : int, default 0
        Steps over which the rate rises linearly to the full one.
    final : float, default 0
        From 0 to 1: what the rate is multiplied by in the end.

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
class Plateau:
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
