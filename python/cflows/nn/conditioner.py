"""Custom networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .. import _core
from ..arguments import integer
from .trace import Declarations, Network, Trace, UniformStart
from .tracer import Tracer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def conditioner(
    function: Callable[..., Tracer],
    inputs: int,
    *,
    context_features: int = 0,
    outputs: int | None = None,
    parameters: Mapping[str, ArrayLike | UniformStart] | None = None,
    networks: Mapping[str, Network] | None = None,
    zero_last: bool = False,
) -> _core.ExpressionNetwork:
    """A network that is a Python function, wherever a layer or a base takes one.

    Such as ``Coupling(conditioner=…)``, ``Continuous(network=…)``, ``Embedding(network=…)`` and
    `Network`. Each layer has parameters of its own. An `Autoregressive` layer masks its network,
    which a function cannot be, and a `Residual` has a contraction of its own.

    Parameters
    ----------
    function : callable
        ``function(x, p)`` returns a `Tracer`. ``p`` has by name the parameters, each a `Tracer`,
        and the networks, as functions; with `context_features` the context is a third argument.
    inputs : int
        Features of ``x``: those that a coupling keeps, of which an angle counts twice, as its
        cosine and its sine; all features in a `Continuous` layer. 0 where there are none, as in
        an `Embedding` and a base: ``x`` is None, and the function is of the context alone.
    context_features : int, default 0
        Numbers of the context, behind an embedding. In a `Continuous` layer the time comes before
        them: its ``2 * frequencies`` waves, 6 as they are by default, or one number.
    outputs : int, optional
        None: the function returns a hidden vector of any size, from which a last dense layer,
        ``linear``, makes as many numbers as the layer of the flow needs; it starts at zero where
        that of an `MLP` does, so that a new coupling is the identity. Given, the function returns
        these numbers itself, as many as the layer needs: of an affine coupling all scales, then
        all shifts.
    parameters : mapping of str to array_like or UniformStart, optional
        Where learned numbers start: a number, a vector or, for `matmul`, a matrix; or at random.
    networks : mapping of str to Network, optional
    zero_last : bool, default False
        Whether the last layers of these networks start at zero.

    Returns
    -------
    Conditioner

    Raises
    ------
    ValueError
        If sizes do not fit; that the layer's do is known when a flow is made of it.
    TypeError
        If the function returns something else.

    Examples
    --------
    A network with a skip connection, and learned Fourier features of the context:

    >>> import cflows as cf
    >>> from cflows import nn
    >>> def net(x, p, context):
    ...     waves = nn.cosine(nn.matmul(p.frequencies, context))
    ...     h = nn.tanh(nn.matmul(p.weight, x) + p.bias)
    ...     return nn.concat([x, h, h * waves])
    >>> start = {"frequencies": nn.UniformStart((8, 1)), "weight": nn.UniformStart((8, 1))}
    >>> own = nn.conditioner(
    ...     net, inputs=1, context_features=1, parameters={**start, "bias": [0.0] * 8}
    ... )
    >>> layers = [cf.Coupling(conditioner=own), cf.Coupling(swap=True, conditioner=own)]
    >>> flow = cf.Flow(layers, features=2, context_features=1, seed=0)
    >>> [name for name in flow.parameters if name.startswith("layers.0")]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['layers.0.conditioner.frequencies', 'layers.0.conditioner.weight',
     'layers.0.conditioner.bias', 'layers.0.conditioner.linear.weight',
     'layers.0.conditioner.linear.bias']
    """
    inputs = integer("inputs", inputs, 0)
    context_features = integer("context_features", context_features, 0)
    declarations = Declarations(parameters, networks)
    numbers: list[float] = []
    with Trace(declarations, numbers) as trace:
        result = function(*trace.arguments(inputs, context_features))
        if not isinstance(result, Tracer):
            raise TypeError(f"a conditioner's function must return a Tracer, got {result!r}")
        if outputs is not None and len(result) != integer("outputs", outputs, 1):
            raise ValueError(f"the function must return {outputs} features, got {len(result)}")
        text = trace.text(result)
    return _core.ExpressionNetwork(
        text,
        inputs,
        context_features,
        outputs is None,
        **declarations.options(),
        numbers=numbers,
        zero_last=zero_last,
    )
