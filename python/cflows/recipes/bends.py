"""Recipes of flows by the determinant lemma: planar and Sylvester flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import Inverse, Layer, Planar, Sylvester
from ..flow import Flow
from ..option_names import Activation, Direction, PlanarActivation
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


class BendOptions(ColumnOptions, total=False):
    """Options of `bend_flow`, for type checkers."""

    explicit: Direction


@with_options_of(column_flow)
def bend_flow(
    layer: Layer,
    features: int,
    layers: int,
    *,
    explicit: Direction = "inverse",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """The flow of many layers of that kind.

    Parameters
    ----------
    layer : Layer
        With a formula from base to data.
    explicit : {'inverse', 'forward'}, default 'inverse'
        The direction that is the formula: from data to base (densities), or from base to data
        (samples), as in the paper, for variational inference. The other solves for its argument.

    Returns
    -------
    Flow
        It starts as the identity, except for the standardisation.
    """
    if explicit not in ("inverse", "forward"):
        raise ValueError(f"explicit must be 'inverse' or 'forward', got {explicit!r}")
    chain = [Inverse(layer) if explicit == "inverse" else layer] * layers
    return column_flow(chain, features, **options)


@with_options_of(bend_flow)
def planar(
    features: int,
    layers: int = 32,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: Activation = "relu",
    h: PlanarActivation = "tanh",
    **options: Unpack[BendOptions],
) -> Flow:
    """A planar flow: many bends ``z + u h(w z + b)``, each along one direction.

    Each layer has two vectors of features, ``u`` and ``w``, and a number ``b``. They are few: many
    layers do what a coupling does, and of many features a planar flow learns little.

    Parameters
    ----------
    layers : int, default 32
        The number of bends; 2 to 80 in the paper.
    hidden : sequence of int, default (64, 64)
        In a flow with context, the hidden widths of the network that gives a layer's parameters;
        without, they are learned numbers.
    activation : str, default 'relu'
        That network's activation.
    h : {'tanh', 'leaky_relu'}, default 'tanh'
        The bend.

    References
    ----------
    Rezende and Mohamed 2015, Variational inference with normalizing flows, arXiv:1505.05770,
    equations 10 to 13.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.planar(features=2, layers=3, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Inverse', 'Inverse', 'Inverse', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("planar", features, options)
    layer = Planar(h, hidden=hidden, activation=activation)
    return bend_flow(layer, features, layers, **options)


@with_options_of(bend_flow)
def sylvester(
    features: int,
    layers: int = 16,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: Activation = "relu",
    directions: int | None = None,
    reflections: int | None = None,
    **options: Unpack[BendOptions],
) -> Flow:
    """A Sylvester flow: bends ``z + Q R tanh(R~ Q^T z + b)`` along M directions at once.

    Q, of shape (features, M), has orthonormal columns, a product of reflections; R and R~ are upper
    triangular matrices of shape (M, M), and b has M numbers.

    Parameters
    ----------
    layers : int, default 16
        The number of layers; 4 to 16 in the paper.
    hidden : sequence of int, default (64, 64)
        In a flow with context, the hidden widths of the network that gives a layer's parameters;
        without, they are learned numbers.
    activation : str, default 'relu'
        That network's activation.
    directions : int, optional
        M, at most as many as there are features; None is as many.
    reflections : int, optional
        How many Householder reflections make Q; None is one a direction.

    References
    ----------
    van den Berg et al. 2018, Sylvester normalizing flows for variational inference,
    arXiv:1803.05649, equations 13 to 19.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.sylvester(features=3, layers=2, directions=2, explicit="forward", seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Sylvester', 'Sylvester', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("sylvester", features, options)
    layer = Sylvester(directions, reflections, hidden=hidden, activation=activation)
    return bend_flow(layer, features, layers, **options)
