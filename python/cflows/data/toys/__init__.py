"""Two-dimensional densities on which papers show their flows, each with its exact log-density.

Shapes and scales are those of FFJORD (Grathwohl et al. 2019, arXiv:1810.01367), all in the square
[-4, 4]², so that pictures compare with the published ones. Pinwheel and spirals have no tractable
density there and are changed slightly; their docstrings say how.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .checkerboard import Checkerboard
from .curves import Circles, Moons, Spirals
from .density import ToyDensity
from .normals import EightGaussians, Pinwheel

__all__ = ["TOYS", "ToyDensity", "toy"]

TOYS: Mapping[str, ToyDensity] = MappingProxyType(
    {
        density.name: density
        for density in (
            Moons(),
            Circles(),
            Pinwheel(),
            Spirals(),
            Checkerboard(),
            EightGaussians(),
        )
    }
)


def toy(name: str) -> ToyDensity:
    """The toy density of this name.

    Parameters
    ----------
    name : str
        One of the keys of `TOYS`.

    Returns
    -------
    ToyDensity
        With ``sample(n, seed)`` and ``log_prob(x)``.

    Raises
    ------
    ValueError
        If there is no toy density of this name.

    Examples
    --------
    >>> from cflows import data
    >>> list(data.TOYS)
    ['moons', 'circles', 'pinwheel', 'spirals', 'checkerboard', 'eight_gaussians']
    >>> moons = data.toy("moons")
    >>> x = moons.sample(1000, seed=0)
    >>> moons.log_prob(x).shape
    (1000,)
    """
    if not isinstance(name, str) or name not in TOYS:
        raise ValueError(f"no toy density is called {name!r}: choose from {', '.join(TOYS)}")
    return TOYS[name]
