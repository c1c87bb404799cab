"""Custom layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _core
from ..arguments import integer
from .trace import Declarations, Network, Trace, UniformStart
from .tracer import Tracer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def _direction(
    name: str,
    function: Callable[..., Any] | None,
    declarations: Declarations,
    numbers: list[float],
    features: int,
    context_features: int,
) -> str:
    if function is None:
        return ""
    with Trace(declarations, numbers) as trace:
        result = function(*trace.arguments(features, context_features))
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Tracer):
            raise TypeError(f"{name} must return a Tracer and its log_det, got {result!r}")
        value, log_det = result
        if len(value) != features:
            raise ValueError(f"{name} must return {features} features, got {len(value)}")
        if log_det is not None:
            log_det = trace.lift(log_det)
            if len(log_det) != 1:
                raise ValueError(f"the log_det of {name} must be one number, got {len(log_det)}")
        return trace.text(value, *(() if log_det is None else (log_det,)))


def layer(
    features: int,
    forward: Callable[..., Any] | None = None,
    inverse: Callable[..., Any] | None = None,
    *,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike | UniformStart] | None = None,
    networks: Mapping[str, Network] | None = None,
    zero_last: bool = True,
) -> _core.Expression:
    """A layer whose two directions are Python functions.

    Parameters
    ----------
    features : int
        Those of the flow; for images, the numbers of an image, which functions get channel by
        channel and row by row.
    forward, inverse : callable, optional
        One of them may be missing: a flow with the layer then raises ValueError when it is asked
        for what needs that direction. ``forward(u, p)`` returns ``x`` and ``log|det dx/du|``,
        ``inverse(x, p)`` returns ``u`` and ``log|det du/dx|``; the log_det is a `Tracer` of one
        feature, a number, or None for 0. ``p`` has by name the parameters, each a `Tracer`, and the
        networks, as functions. With `context_features` the context is a third argument.
        `cflows.audit` tells whether they are inverse to each other, with these determinants.
    context_features : int, default 0
        The context features that the layers of the flow see.
    parameters : mapping of str to array_like or UniformStart, optional
        Where learned numbers start: a number, a vector or, for `matmul`, a matrix; or at random.
    networks : mapping of str to Network, optional
    zero_last : bool, default True
        Whether the last layers of the networks start at zero, as those of couplings do.

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If a function returns something else.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> shift = nn.layer(
    ...     3,
    ...     lambda u, p: (nn.concat([u[:1], u[1:] + p.net(u[:1])]), None),
    ...     lambda x, p: (nn.concat([x[:1], x[1:] - p.net(x[:1])]), None),
    ...     networks={"net": nn.Network(cf.MLP((8,)), 1, 2)},
    ... )
    >>> flow = cf.Flow([shift], features=3, seed=0)
    >>> list(flow.parameters)[0]
    'layers.0.net.linear0.weight'
    """
    features = integer("features", features, 1)
    if forward is None and inverse is None:
        raise TypeError("a layer has a forward, an inverse or both, got neither")
    declarations = Declarations(parameters, networks)
    numbers: list[float] = []
    directions = {
        name: _direction(name, function, declarations, numbers, features, context_features)
        for name, function in (("forward", forward), ("inverse", inverse))
    }
    return _core.Expression(
        directions["forward"],
        directions["inverse"],
        **declarations.options(),
        numbers=numbers,
        zero_last=zero_last,
    )
