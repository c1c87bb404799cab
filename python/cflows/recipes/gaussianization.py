"""The recipe of Gaussianization flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import Elementwise, Layer, MixtureNormal, Rotation, Scale
from ..arguments import integer
from ..flow import Flow
from ..option_names import Activation
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _mixture(components: int) -> MixtureNormal:
    """A mixture that starts with mean 0 and variance 1, so that many of them stretch nothing."""
    components = integer("components", components, 1)
    if components == 1:
        return MixtureNormal(1)
    furthest = 0.7  # means in equal steps up to here: different enough to part, and near a normal
    deviation = math.sqrt(1 - furthest**2 * (components + 1) / (3 * (components - 1)))
    log_scale = -math.log(deviation)
    offset = log_scale / (1 - log_scale / math.log(1000))  # softclip of it is log_scale
    scale = Scale("softclip", offset=offset)
    return MixtureNormal(components, spread=furthest / deviation, scale=scale)


@with_options_of(column_flow)
def gaussianization(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
    *,
    components: int = 8,
    activation: Activation = "relu",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A Gaussianization flow: ``u_i = Phi^-1(F_i(x_i))`` of each feature, and rotations, by turns.

    F_i is the distribution function of a mixture of `components` normal distributions, whose
    weights, means and deviations are learned numbers or, in a flow with context, functions of it; a
    learned `Rotation` stands between two layers.

    Parameters
    ----------
    layers : int, default 8
        The number of layers of mixtures.
    hidden : sequence of int, default (64, 64)
        In a flow with context, the hidden widths of the network that sets a layer's mixtures.
    components : int, default 8
        Of each mixture.
    activation : str, default 'relu'
        That network's activation.

    Returns
    -------
    Flow
        It starts near a rotation, beside the standardisation: its density is near the base's.

    References
    ----------
    Chen and Gopinath 2000, Gaussianization, Advances in Neural Information Processing Systems 13.
    Meng et al. 2020, Gaussianization flows, arXiv:2003.01941, section 3.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.gaussianization(features=3, layers=2, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Elementwise', 'Rotation', 'Elementwise', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("gaussianization", features, options)
    mixtures = Elementwise(_mixture(components), hidden=hidden, activation=activation)
    chain: list[Layer] = [mixtures, *[Rotation(), mixtures] * (layers - 1)]
    return column_flow(chain, features, **options)
