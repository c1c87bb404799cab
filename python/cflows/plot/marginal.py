"""The density of one feature at contexts: exact where the flow has no other, else by samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import integer
from ..distribution import is_circular
from .canvas import Float

if TYPE_CHECKING:
    from ..flow import Flow

_SAMPLES = 100_000  # of all contexts together


def index_of(argument: str, wanted: str | int, names: Sequence[str] | None, count: int) -> int:
    """The number of a column, from its name or its number."""
    if not isinstance(wanted, str):
        return integer(argument, wanted, 0, count - 1)
    if names is None or wanted not in names:
        known = "have no names" if names is None else f"are {', '.join(names)}"
        raise ValueError(f"{argument}: no column {wanted!r}; the columns {known}")
    return list(names).index(wanted)


class Marginal:
    """A feature of a conditional flow.

    Attributes
    ----------
    index : int
        The feature's number.
    name : str
        For labels.
    exact : bool
        Whether the flow's density is that of the feature.
    circular : bool
        Whether the feature is an angle, as far as that can be told: of a flow of one feature.
    """

    def __init__(self, flow: Flow, feature: str | int | None) -> None:
        if len(flow.shape) > 1:
            raise ValueError(f"conditional draws features of tables, not images of {flow.shape}")
        if feature is None and flow.features > 1:
            raise ValueError(f"the flow has {flow.features} features: say which, feature=…")
        self.flow = flow
        names = flow.columns or (("$x$",) if flow.features == 1 else None)
        self.index = index_of("feature", 0 if feature is None else feature, names, flow.features)
        self.name = names[self.index] if names else f"$x_{{{self.index + 1}}}$"
        self.exact = flow.features == 1 and not flow.stochastic
        self.circular = flow.features == 1 and is_circular(flow)

    def samples(self, rows: Float) -> Float:
        """Samples of the feature at each row of the context, shape (m, n)."""
        n = max(_SAMPLES // len(rows), 100)
        drawn = np.asarray(self.flow.sample(n, rows, seed=0), np.float64)
        numbers: Float = drawn.reshape(len(rows), n, self.flow.features)[:, :, self.index]
        return numbers

    def density(
        self, rows: Float, ends: tuple[float, float], resolution: int
    ) -> tuple[Float, Float]:
        """Numbers between the ends, shape (k,), and the density there, shape (m, k)."""
        if not self.exact:
            return self._histogram(rows, ends, resolution)
        at = np.linspace(*ends, resolution)
        return at, np.exp(self.flow.log_prob_grid(at, rows).astype(np.float64))

    def _histogram(
        self, rows: Float, ends: tuple[float, float], resolution: int
    ) -> tuple[Float, Float]:
        samples = self.samples(rows)
        if (samples == np.round(samples)).all():  # a bin for some integers
            low, high = np.floor(ends[0]) - 0.5, np.ceil(ends[1]) + 0.5
            edges = np.arange(low, high + 1.0, np.ceil((high - low) / resolution))
        else:
            edges = np.linspace(*ends, min(resolution, 60) + 1)
        counts = np.stack([np.histogram(row, edges)[0] for row in samples])
        return 0.5 * (edges[1:] + edges[:-1]), counts / (samples.shape[1] * np.diff(edges))

    def quantiles(self, rows: Float, p: Float) -> Float:
        """Of the feature at each row of the context, shape (m, k)."""
        if self.flow.features == 1:
            return self.flow.quantile(p, rows)
        quantiles: Float = np.quantile(self.samples(rows), p, axis=1).T
        return quantiles
