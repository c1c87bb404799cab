"""The recipe of residual flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import ActNorm, Layer, Residual
from ..flow import Flow
from ..option_names import ContractionActivation, LogDetForm
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


@with_options_of(column_flow)
def residual(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: ContractionActivation = "lipswish",
    coefficient: float = 0.97,
    log_det: LogDetForm = "auto",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A residual flow: ``u = x + g(x)`` with contractions g, networks of all features.

    Each layer's g also reads the context, and has a Lipschitz constant below 1; on both of its
    sides is an `ActNorm`, which ``fit`` starts from the data. Samples are found by fixed points.

    Parameters
    ----------
    layers : int, default 8
        The number of residual layers; 100 in the authors' pictures of the plane.
    hidden : sequence of int, default (64, 64)
        The hidden widths of each g.
    activation : str, default 'lipswish'
        That of g, as of `Residual`.
    coefficient : float, default 0.97
        The largest norm of a weight, below 1.
    log_det : {'auto', 'exact', 'series'}, default 'auto'
        In training: exact, the series' estimate, or 'auto', which is the series of more than 32
        features. Everywhere else it is exact of up to 1024 features, as `Residual` has it.

    Returns
    -------
    Flow
        It starts as the identity, except for the standardisation.

    References
    ----------
    Behrmann et al. 2019, Invertible residual networks, arXiv:1811.00995.
    Chen et al. 2019, Residual flows for invertible generative modeling, arXiv:1906.02735.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.residual(features=3, layers=2, hidden=(16,), seed=0)
    >>> [layer.type for layer in flow.layers]
    ['ActNorm', 'Residual', 'ActNorm', 'Residual', 'ActNorm', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("residual", features, options)
    block = Residual(hidden, activation, coefficient=coefficient, log_det=log_det)
    chain: list[Layer] = [ActNorm(), *[block, ActNorm()] * layers]
    return column_flow(chain, features, **options)
