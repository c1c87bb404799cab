"""Layers and objectives of one's own, written in Python, run at the engine's speed.

A function of `Rows` is called once, with symbols for the rows; what it does to them is traced to
ops of the engine, which differentiates them, runs them in tiles over threads in float32 or float64,
and keeps them in files, which need no code to be loaded.

==================  ============================================================================
`layer`             a flow's layer from its two directions
`objective`         a flow whose `fit` minimises a loss, and whose ``-log_prob`` it is
`evaluate`          other functions of the parameters and networks of an objective
`Network`           a network with its sizes, to be called in such functions
networks            those of `cflows`: `MLP`, `ResidualNet`, `ConvNet`, `ConvResidualNet`,
                    `ConvEncoder`, `ConvDecoder`
functions           of single numbers, such as `exp`, `tanh` and `softplus`: `FUNCTIONS` has them
                    all; `cosine`, `clamp`, `at_least`, `sum`, `concat`, `repeat`, `matmul`,
                    `log_sum_exp`, `normal_log_density`, `normal`, `uniform`; and ``+ - * / **`` and
                    slices of `Rows`
==================  ============================================================================

Examples
--------
A layer of one's own, ``x = sinh(a u) / a`` with a learned positive a for each feature:

>>> import numpy as np
>>> import cflows as cf
>>> from cflows import nn
>>> def log_cosh(t):
...     return t + nn.softplus(-2.0 * t) - np.log(2.0)
>>> def forward(u, p):
...     a = nn.exp(p.log_a)
...     return (nn.exp(a * u) - nn.exp(-a * u)) / (2.0 * a), nn.sum(log_cosh(a * u))
>>> def inverse(x, p):
...     a = nn.exp(p.log_a)
...     t = nn.asinh(a * x)
...     return t / a, -nn.sum(log_cosh(t))
>>> sinh = nn.layer(2, forward, inverse, parameters={"log_a": np.zeros(2)})
>>> flow = cf.Flow([cf.Coupling(), sinh], features=2, dtype="float64", seed=0)
>>> x = flow.sample(5, seed=0)
>>> bool(np.allclose(flow.forward(flow.inverse(x)[0])[0], x))
True

An objective of one's own: least squares with a network.

>>> def loss(x, p, y):
...     return nn.sum((p.net(x) - y) ** 2)
>>> net = nn.Network(nn.MLP((16,)), inputs=1, outputs=1)
>>> model = nn.objective(loss, features=1, context_features=1, networks={"net": net}, seed=0)
>>> x = np.linspace(-1, 1, 200)[:, None]
>>> history = model.fit(x, context=x**2, epochs=50, optimizer=cf.Adam(0.01), seed=0)
>>> bool(history.train[-1] < history.train[0] / 10)
True
>>> nn.evaluate(model, lambda x, p, y: p.net(x), x, x**2).shape
(200, 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import MLP, ConvDecoder, ConvEncoder, ConvNet, ConvResidualNet, ResidualNet
from .arguments import integer
from .flow import Flow
from .rows import (
    FUNCTIONS,
    Rows,
    at_least,
    clamp,
    concat,
    cosine,
    log_sum_exp,
    matmul,
    normal,
    normal_log_density,
    repeat,
    sum,
    uniform,
)
from .trace import Declarations, Network, Trace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    def __getattr__(name: str) -> Callable[[Rows], Rows]: ...  # those of FUNCTIONS


__all__ = [
    "FUNCTIONS",
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "ConvResidualNet",
    "Network",
    "ResidualNet",
    "Rows",
    "at_least",
    "clamp",
    "concat",
    "cosine",
    "evaluate",
    "layer",
    "log_sum_exp",
    "matmul",
    "normal",
    "normal_log_density",
    "objective",
    "repeat",
    "sum",
    "uniform",
]

__all__ += FUNCTIONS
globals().update(FUNCTIONS)


def _direction(
    name: str,
    function: Callable[..., Any],
    declarations: Declarations,
    numbers: list[float],
    features: int,
    context_features: int,
) -> str:
    with Trace(declarations, numbers) as trace:
        result = function(*trace.arguments(features, context_features))
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Rows):
            raise TypeError(f"{name} must return Rows and their log_det, got {result!r}")
        value, log_det = result
        if len(value) != features:
            raise ValueError(f"{name} must return {features} features, got {len(value)}")
        if log_det is not None:
            log_det = trace.rows(log_det)
            if len(log_det) != 1:
                raise ValueError(f"the log_det of {name} must be one number, got {len(log_det)}")
        return trace.text(value, log_det)


def layer(
    features: int,
    forward: Callable[..., Any],
    inverse: Callable[..., Any],
    *,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike] | None = None,
    networks: Mapping[str, Network] | None = None,
    zero_last: bool = True,
) -> _core.Expression:
    """A layer whose two directions are functions of one's own.

    Parameters
    ----------
    features : int
        Of the flow; of one of images, how many numbers an image has. Functions get them channel by
        channel and row by row.
    forward, inverse : callable
        ``forward(u, p)`` returns ``x`` and ``log|det dx/du|``, ``inverse(x, p)`` returns ``u`` and
        ``log|det du/dx|``; the log_det is a `Rows` of one feature, a number, or None for 0. ``p``
        has the parameters, as `Rows`, and the networks, as functions, by name. With
        `context_features` the context is a third argument. `cflows.audit` tells whether they are
        inverse to each other, with these determinants.
    context_features : int, default 0
        Those that the layers of the flow see.
    parameters : mapping of str to array_like, optional
        Where learned numbers start: a number, a vector or, for `matmul`, a matrix.
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


def objective(
    loss: Callable[..., Rows],
    features: int | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike] | None = None,
    networks: Mapping[str, Network] | None = None,
    dtype: Any = "float32",
    seed: int | None = None,
) -> Flow:
    """A flow whose `fit` minimises the mean of a loss of one's own over rows.

    Its ``-log_prob`` is the loss, row by row, and its gradients, files, checkpoints and so on are
    any flow's; it has no samples. Noise (`normal`, `uniform`) is drawn afresh in every step.

    Parameters
    ----------
    loss : callable
        ``loss(x, p)`` returns a `Rows` of one feature; see `layer`. With `context_features` the
        context is a third argument, such as what is to be predicted.
    features, context_features : int
        Columns of `x` and of the context.
    shape : (channels, height, width), optional
        That of `x`, which are images, instead of `features`; functions get their numbers channel
        by channel and row by row.
    parameters, networks
        As of `layer`; last layers do not start at zero.
    dtype, seed
        As of `Flow`.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If the function returns something else.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> from cflows import nn
    >>> def loss(x, p):
    ...     return nn.sum((x - p.centre) ** 2)
    >>> model = nn.objective(loss, 2, parameters={"centre": [0.0, 0.0]}, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(1000, 2)) + [1, 2]
    >>> history = model.fit(x, epochs=30, optimizer=cf.Adam(0.05), seed=0)
    >>> bool(np.allclose(model.parameters["layers.0.centre"], x.mean(axis=0), atol=0.1))
    True
    """
    if (features is None) == (shape is None):
        raise TypeError("an objective has either features or a shape")
    size = math.prod(shape) if shape is not None else integer("features", features, 1)
    declarations = Declarations(parameters, networks)
    numbers: list[float] = []
    with Trace(declarations, numbers) as trace:
        result = loss(*trace.arguments(size, context_features))
        if not isinstance(result, Rows):
            raise TypeError(f"the loss must be Rows of one feature, got {result!r}")
        if len(result) != 1:
            raise ValueError(f"the loss must have one feature, got {len(result)}")
        # A point that has the density 1 under the base.
        text = trace.text(trace.constant(0.5), -result)
    expression = _core.Expression(
        inverse=text, **declarations.options(), numbers=numbers, base_features=1
    )
    return Flow(
        [expression],
        features,
        context_features,
        base=_core.Uniform(0.0, 1.0),
        dtype=dtype,
        seed=seed,
        shape=shape,
    )


def evaluate(
    model: Flow,
    function: Callable[..., Rows],
    x: ArrayLike,
    context: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[Any]:
    """What a function of rows gives with the parameters and networks of an objective.

    Parameters
    ----------
    model : Flow
        Made by `objective`, and perhaps fitted.
    function : callable
        As the loss, of the same arguments, but with any number of features.
    x, context : array_like
        As of `Flow.log_prob`.
    seed : int, default 0
        Of noise.

    Returns
    -------
    ndarray, shape (n, features of the function)

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If the model is not of `objective`, or the function returns something else.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> model = nn.objective(lambda x, p: nn.sum(p.a * x), 2, parameters={"a": [2.0, 3.0]}, seed=0)
    >>> nn.evaluate(model, lambda x, p: p.a * x, [[1.0, 1.0]]).tolist()
    [[2.0, 3.0]]
    """
    spec = model.layers[-1].spec
    if not isinstance(spec, _core.Expression):
        raise TypeError(f"evaluate takes a flow of nn.objective, got one of {spec.type}")
    declarations = Declarations.of(spec)
    numbers: list[float] = []
    with Trace(declarations, numbers) as trace:
        result = function(*trace.arguments(model.features, model.context_features))
        if not isinstance(result, Rows):
            raise TypeError(f"the function must return Rows, got {result!r}")
        text = trace.text(result)
    expression = _core.Expression(
        inverse=text,
        **declarations.options(),
        numbers=numbers,
        base_features=len(result),
    )
    flow = Flow(
        [expression],
        context_features=model.context_features,
        dtype=model.dtype,
        seed=0,
        shape=model.shape,
    )
    for name, parameter in flow.parameters.items():
        parameter[...] = model.parameters[name]
    return flow.inverse(x, context, seed)[0]
