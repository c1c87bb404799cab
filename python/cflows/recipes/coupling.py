"""Recipes of coupling layers on vectors: NICE and Glow's steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import ActNorm, Affine, Coupling, Layer, Linear, Scale
from ..flow import Flow
from ..option_names import Activation, ScaleForm
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


@with_options_of(column_flow)
def nice(
    features: int,
    layers: int = 4,
    hidden: Sequence[int] = (256, 256),
    *,
    activation: Activation = "relu",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A NICE: additive couplings that keep every other feature in turn, then one learned scale.

    A coupling is ``x_b = u_b + shift`` with the shift a function of the other features and the
    context; the last layer is ``x = u * exp(log_scale) + shift``; couplings alone preserve
    volumes.

    Parameters
    ----------
    layers : int, default 4
        The number of couplings, as in the paper.
    hidden : sequence of int, default (256, 256)
        The hidden widths of each coupling's perceptron; the paper's, for images, are five of 1000.
    activation : str, default 'relu'
        The perceptrons' activation, as of `Coupling`.

    Returns
    -------
    Flow
        It starts as the identity, except for the standardisation.

    References
    ----------
    Dinh et al. 2015, NICE: Non-linear independent components estimation, arXiv:1410.8516,
    sections 3.2, 3.3 and 5.1.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nice(features=4, layers=2, hidden=(16,), seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Coupling', 'Affine', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("nice", features, options)
    chain: list[Layer] = [
        Coupling(
            "alternating",
            swap=i % 2 == 1,
            transform="additive",
            hidden=hidden,
            activation=activation,
        )
        for i in range(layers)
    ]
    chain.append(Affine(learned=True))
    return column_flow(chain, features, **options)


@with_options_of(column_flow)
def glow1d(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: Activation = "relu",
    scale: ScaleForm | Scale = "softclip",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """Glow's steps on vectors: activation normalisation, a linear layer, an affine coupling.

    On the way from the data to the base each step is an `ActNorm`, which ``fit`` starts from the
    data, a `Linear` layer ``W = P L U`` with a random permutation, and a coupling that keeps the
    first half of the features.

    Parameters
    ----------
    layers : int, default 8
        The number of steps.
    hidden : sequence of int, default (64, 64)
        The hidden widths of each coupling's perceptron.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How unconstrained outputs become scales, as of `Coupling`; Glow's own is
        ``cf.Scale('sigmoid', offset=2)``.

    References
    ----------
    Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3 and table 1.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.glow1d(features=3, layers=1, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Linear', 'ActNorm', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("glow1d", features, options)
    step: list[Layer] = [
        Coupling("half", hidden=hidden, activation=activation, scale=scale),
        Linear("lu"),
        ActNorm(),
    ]
    chain = step * layers
    return column_flow(chain, features, **options)
