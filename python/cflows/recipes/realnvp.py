"""The recipe of RealNVP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from .._core import Coupling, Layer, Permutation, Scale
from ..columns import checked, expanded
from ..flow import Flow
from ..option_names import Activation, ScaleForm
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


@with_options_of(column_flow)
def realnvp(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: Activation = "relu",
    scale: ScaleForm | Scale = "softclip",
    permute: Literal[False, "reverse", "random"] = False,
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A RealNVP: affine couplings that keep every other feature in turn.

    A coupling is ``x_b = u_b * scale + shift`` with scale and shift functions of the other
    features and the context, computed by a multilayer perceptron.

    Parameters
    ----------
    layers : int, default 8
        The number of couplings.
    hidden : sequence of int, default (64, 64)
        The hidden widths of each coupling's perceptron.
    activation : str, default 'relu'
        The perceptrons' activation, as of `Coupling`.
    scale : str or Scale, default 'softclip'
        How unconstrained outputs become scales, as of `Coupling`.
    permute : {False, 'reverse', 'random'}, default False
        A `Permutation` between couplings.

    Returns
    -------
    Flow
        With couplings that start as the identity.

    References
    ----------
    Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(features=3, layers=4, context_features=2, permute="random", seed=0)
    >>> [layer.type for layer in flow.layers][:3]
    ['Coupling', 'Permutation', 'Coupling']
    """
    features, layers = sizes(features, layers)
    without_angles("realnvp", features, options)
    if permute is not False and permute not in ("reverse", "random"):
        raise ValueError(f"permute must be False, 'reverse' or 'random', got {permute!r}")
    between = [] if permute is False else [Permutation(permute)]
    # Reversing an even number of features turns the even ones into the odd ones: swapping the
    # mask as well would keep the same features in all couplings.
    inner = len(expanded(checked(options.get("columns"), features)))
    swapping = not (permute == "reverse" and inner % 2 == 0)
    chain: list[Layer] = []
    for i in range(layers):
        if i > 0:
            chain += between
        chain.append(
            Coupling(
                mask="alternating",
                swap=swapping and i % 2 == 1,
                hidden=hidden,
                activation=activation,
                scale=scale,
            )
        )
    return column_flow(chain, features, **options)
