"""The fixed maps beside the data, such as units and logarithms, and the columns behind them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["DataMaps"]

Float = NDArray[np.float64]


class DataMaps:
    """The fixed maps of a flow, from x to the columns ``z`` that its layers see.

    Parameters
    ----------
    flow : Flow
        Whose maps are copied.
    """

    def __init__(self, flow: Flow) -> None:
        # In float64: units of the data may be beyond float32.
        self.flow = flow.part(len(flow.layers) - flow.fixed_maps).astype("float64")
        # The maps do not depend on it.
        count = flow.context_features
        self.context = np.zeros(count, np.float64) if count else None

    def to_z(self, x: Float) -> Float:
        """The columns behind the maps; noise of integers is that of a seed of 0."""
        return np.asarray(self.flow.inverse(x, self.context, seed=0)[0], np.float64)

    def to_x(self, z: Float) -> Float:
        return np.asarray(self.flow.forward(z, self.context)[0], np.float64)

    def slopes(self, x: Float) -> Float:
        """``dz_f / dx_f`` of every column f."""
        slopes = self.flow.vjp(x, np.ones(x.shape, np.float64), context=self.context).x
        return np.asarray(slopes, np.float64)

    def are_angles(self) -> NDArray[np.bool_]:
        """By column, whether z is an angle: a number beyond half a turn comes back a turn less."""
        beyond = np.full((1, self.flow.features), 4.0)
        back = self.to_z(self.to_x(beyond))[0]
        return np.asarray(np.abs(back - (4.0 - 2 * math.pi)) < 1e-6)
