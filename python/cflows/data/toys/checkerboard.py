"""The checkerboard, a density with edges."""

from __future__ import annotations

import numpy as np

from .density import Float, ToyDensity


class Checkerboard(ToyDensity):
    r"""Uniform on the eight dark squares, of side 2, of a board of four by four.

    .. math::
        p(x) = \tfrac1{32} \text{ if } x \in [-4, 4)^2 \text{ and }
        \lfloor \tfrac{x_1}2 \rfloor + \lfloor \tfrac{x_2}2 \rfloor \text{ is even, else } 0

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("checkerboard").log_prob([[1.0, 1.0], [1.0, 3.0]]).round(4)
    array([-3.4657,    -inf])
    """

    name = "checkerboard"

    def _sample(self, n: int, rng: np.random.Generator) -> Float:
        column = rng.integers(4, size=n)
        row = 2 * rng.integers(2, size=n) + column % 2
        corner = 2.0 * np.column_stack([column, row]) - 4.0
        return corner + 2.0 * rng.uniform(size=(n, 2))

    def _log_prob(self, x: Float) -> Float:
        on_board = ((x >= -4.0) & (x < 4.0)).all(axis=1)
        dark = np.floor(x / 2.0).sum(axis=1) % 2.0 == 0.0
        return np.where(on_board & dark, -np.log(32.0), -np.inf)
