"""What the columns of a table hold, for recipes: any number, positive ones, an interval, angles,
integers, categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .arguments import integer, shown
from .arguments import real as number

__all__ = ["Column", "categorical", "circular", "count", "interval", "ordinal", "positive", "real"]

KINDS = ("real", "positive", "interval", "circular", "count", "ordinal", "categorical")
MAX_CATEGORIES = 1024  # as of Argmax


@dataclass(frozen=True)
class Column:
    """What one column holds; `real`, `positive`, `interval`, `circular`, `count`, `ordinal` and
    `categorical` make them.

    Attributes
    ----------
    kind : {'real', 'positive', 'interval', 'circular', 'count', 'ordinal', 'categorical'}
    low, high : float
        The ends: of all numbers that the column may hold or, of a circle, one point.
    labels : tuple of str or None
        Of the numbers 0, 1, ... of a column of categories.
    """

    kind: str
    low: float
    high: float
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a column is one of {', '.join(KINDS)}, got {self.kind!r}")

    def __repr__(self) -> str:
        if self.kind in ("real", "positive", "count"):
            return self.kind
        if self.kind == "ordinal":
            return f"ordinal({self.levels})"
        if self.kind == "categorical":
            return f"categorical({self.levels if self.labels is None else list(self.labels)})"
        if self.kind == "interval":
            return f"interval({self.low!r}, {self.high!r})"
        start = f", low={self.low!r}" if self.low else ""
        return f"circular({self.high - self.low!r}{start})"

    @property
    def levels(self) -> int:
        """The number of integers that an ordinal column or one of categories may hold."""
        return int(self.high - self.low) + 1


real = Column("real", -math.inf, math.inf)
"""Any number."""

positive = Column("positive", 0.0, math.inf)
"""Numbers above 0: a flow of logarithms, ``x = exp(u)``."""


count = Column("count", 0.0, math.inf)
"""The integers 0, 1, ...: a flow of the logarithms of counts with noise (`Dequantize`), whose
`log_prob` bounds their probability."""


def ordinal(levels: int) -> Column:
    """The integers 0, 1, ..., levels - 1: a flow of the logits of them with noise (`Dequantize`).

    The `log_prob` of a flow with such columns is a lower bound, in which they have probabilities
    and the others densities; samples are integers in these columns.

    Parameters
    ----------
    levels : int
        From 2 to 65536.

    Returns
    -------
    Column

    Raises
    ------
    ValueError
        If it is out of range.
    TypeError
        If it is not an int.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(2, columns=[cf.real, cf.ordinal(5)], seed=0)
    >>> sorted(set(flow.sample(1000, seed=0)[:, 1].astype(int).tolist()))
    [0, 1, 2, 3, 4]
    """
    return Column("ordinal", 0.0, integer("levels", levels, 2, 65536) - 1.0)


def interval(low: float, high: float) -> Column:
    """Numbers between two ends: a flow of logits, ``x = low + (high - low) / (1 + exp(-u))``.

    Parameters
    ----------
    low, high : float
        The ends, in the column's units. The column must not hold them themselves, nor numbers
        that are rounded to them: in float32, those within 3e-8 of the width.

    Returns
    -------
    Column

    Raises
    ------
    ValueError
        If they are not finite, or not in order.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(2, columns=[cf.real, cf.interval(0, 100)], seed=0)
    >>> x = flow.sample(1000, seed=0)
    >>> bool((x[:, 1] > 0).all() and (x[:, 1] < 100).all())
    True
    """
    low, high = number("low", low), number("high", high)
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(f"low must be below high, both finite, got {low} and {high}")
    return Column("interval", low, high)


def circular(period: float, low: float = 0.0) -> Column:
    """Periodic numbers: angles, hours of the day.

    Parameters
    ----------
    period : float
        The length after which the numbers repeat, in the column's units.
    low : float, default 0
        Samples are from here to ``low + period``. Data may be any numbers.

    Returns
    -------
    Column

    Raises
    ------
    ValueError
        If the period is not positive, or a number is not finite.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nsf(2, layers=2, hidden=16, columns=[cf.real, cf.circular(24)], seed=0)
    >>> late, early = flow.log_prob([[0.0, 25.0], [0.0, 1.0]])
    >>> bool(abs(late - early) < 1e-4)
    True
    """
    period, low = number("period", period), number("low", low)
    if not (low < low + period < math.inf and period / (2 * math.pi) > 0.0):
        raise ValueError(
            f"period must be positive and finite, and low near it, got period={period:g} and "
            f"low={low:g}"
        )
    return Column("circular", low, low + period)


def categorical(categories: int | Sequence[str]) -> Column:
    """Categories without an order, by `Argmax`: a category is the largest of as many real numbers.

    The `log_prob` of a flow with such columns is a lower bound, in which they have probabilities
    and the others densities; samples are integers in these columns, or labels where
    ``sample(n, as_frame=True)`` makes a table.

    Parameters
    ----------
    categories : int or sequence of str
        How many there are, from 2 to 1024, of which the column holds the numbers 0, 1, ...; or
        their labels, all different: tables may then hold these. Arrays of numbers hold places
        among them; in tables and lists numbers are labels if a label is a number, else places.

    Returns
    -------
    Column

    Raises
    ------
    ValueError
        If there are too few or too many, or two have one label.
    TypeError
        If it is neither an int nor labels that are strings.

    References
    ----------
    Hoogeboom et al. 2021, Argmax flows and multinomial diffusion, arXiv:2102.05379.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> kinds = cf.categorical(["star", "galaxy", "quasar"])
    >>> flow = cf.realnvp(2, columns=[cf.real, kinds], seed=0)
    >>> x = np.array([[0.5, "star"], [1.5, "quasar"]], object)
    >>> bool((flow.log_prob(x) == flow.log_prob([[0.5, 0], [1.5, 2]])).all())
    True
    """
    if isinstance(categories, str):
        raise TypeError(f"categories must be a number or a list of labels, got {categories!r}")
    if hasattr(categories, "tolist") and getattr(categories, "ndim", 0) == 1:
        categories = categories.tolist()  # of NumPy and pandas
    if not isinstance(categories, Sequence):
        count = integer("categories", categories, 2, MAX_CATEGORIES)
        return Column("categorical", 0.0, count - 1.0)
    labels = tuple(categories)
    if not all(isinstance(label, str) for label in labels):
        raise TypeError(
            f"labels must be strings, got {labels}: give strings, or the number of categories"
        )
    if not 2 <= len(labels) <= MAX_CATEGORIES or len(set(labels)) != len(labels):
        raise ValueError(
            f"labels must be 2 to {MAX_CATEGORIES}, all different, got {len(labels)}, of which "
            f"{len(set(labels))} are different"
        )
    return Column("categorical", 0.0, len(labels) - 1.0, labels)


def expanded(columns: Sequence[Column]) -> list[Column]:
    """The columns that the layers before `Argmax` see: a real one for each category."""
    return [
        inner
        for column in columns
        for inner in ([real] * column.levels if column.kind == "categorical" else [column])
    ]


def levels(columns: Sequence[Column]) -> list[int]:
    """By column, how many categories it has; 1 of numbers."""
    return [column.levels if column.kind == "categorical" else 1 for column in columns]


def checked(columns: Sequence[Column] | None, features: int) -> list[Column]:
    """A list of one column a feature, checked; None is `real` for all."""
    return [real] * features if columns is None else _checked(columns, features, "columns")


def checked_context(columns: Sequence[Column], features: int) -> list[Column]:
    """The same of a context, of which each column is real or categorical; 0 is any number."""
    kinds = _checked(columns, features, "context_columns")
    for column in kinds:
        if column.kind not in ("real", "categorical"):
            raise ValueError(
                f"context_columns are real or categorical, got {column}: numbers of any range are "
                "real, and an angle is two columns, its cosine and sine"
            )
    return kinds


def _checked(columns: Sequence[Column], features: int, what: str) -> list[Column]:
    if isinstance(columns, Column):
        raise TypeError(
            f"{what} must be a list with an entry for each feature, got {columns!r} alone: write "
            f"[{columns!r}, …]"
        )
    columns = list(columns)
    for i, column in enumerate(columns):
        if not isinstance(column, Column):
            raise TypeError(
                f"{what} says what each column holds, such as cflows.real or cflows.positive, got "
                f"{shown(column)} at {i}; names are set by flow.{what}"
            )
    if features and len(columns) != features:
        raise ValueError(f"{what} must have {features} entries, one a feature, got {len(columns)}")
    return columns


def indices(columns: Sequence[Column], *kinds: str) -> list[int]:
    """The indices of the columns of these kinds."""
    return [i for i, column in enumerate(columns) if column.kind in kinds]
