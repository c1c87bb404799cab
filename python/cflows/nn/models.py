"""Custom models: named functions of parameters and networks, and losses to minimise."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _core
from ..arguments import integer
from ..fit import fit
from ..named import NamedColumns
from .trace import Declarations, Network, Ports, Shape, Trace, UniformStart
from .tracer import Tracer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Loss(NamedColumns, _core.Model):
    """A model whose `fit` minimises a loss; made by `objective`.

    Attributes
    ----------
    features, context_features : int
        Columns of ``x`` and of the context.
    shape : tuple of int
        That of a row of ``x``.
    """

    __slots__ = ("__dict__", "__weakref__")

    fit = fit
    _loss = "loss"

    @property
    def features(self) -> int:
        return math.prod(self.shape)

    @property
    def context_features(self) -> int:
        return math.prod(dict(self._functions()["loss"][0]).get("context", (0,)))

    @property
    def shape(self) -> Shape:
        return tuple(dict(self._functions()["loss"][0])["x"])

    def loss(
        self, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> NDArray[Any]:
        """The loss of every row.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
        seed, start : int
            Of noise, as of `Flow.log_prob`.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        ValueError
            If a shape is wrong.
        """
        return self._call("loss", (x, context), seed, start)[0][:, 0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file, which `cflows.load` reads.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from ..persist import save

        save(self, path)

    def __repr__(self) -> str:
        count = f"{self.n_parameters:,} parameters, {self.dtype}"
        given = f", {self.context_features} context features" if self.context_features else ""
        return f"Loss({self.features} features{given}, {count})"


def _signature(name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> str:
    """The beginning of a function's text."""

    def words(ports: Mapping[str, Shape]) -> list[str]:
        return [f"{port} {'x'.join(map(str, shape))}" for port, shape in ports.items()]

    return " ".join(["function", name, *words(inputs), "gives", *words(outputs)])


def _traced(
    name: str,
    function: Callable[..., Any],
    inputs: Mapping[str, Shape],
    trace: Trace,
    output: str,
) -> str:
    """The text of a function whose arguments are the inputs, the first followed by p."""
    with trace:
        result = function(*trace.inputs(inputs))
        results = result if isinstance(result, tuple) else (result,)
        for value in results:
            if not isinstance(value, Tracer):
                raise TypeError(f"{name} must return a Tracer, got {value!r}")
            if output == "loss" and (len(results) > 1 or len(value) != 1):
                raise ValueError(f"the loss must have one feature, got {len(value)}")
        names = [output] if len(results) == 1 else [f"{output}{i}" for i in range(len(results))]
        outputs = {port: (len(value),) for port, value in zip(names, results, strict=True)}
        return f"{_signature(name, inputs, outputs)};{trace.text(*results)}"


def objective(
    loss: Callable[..., Tracer],
    features: int | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike | UniformStart] | None = None,
    networks: Mapping[str, Network] | None = None,
    dtype: Any = "float32",
    seed: int | None = None,
) -> Loss:
    """A model whose `fit` minimises the mean of a custom loss over rows.

    Noise (`normal`, `uniform`) is drawn afresh in every step. `function` gives other functions of
    the same parameters and networks. The first `fit` on tables learns the names of their columns,
    as that of a flow does.

    Parameters
    ----------
    loss : callable
        ``loss(x, p)`` returns a `Tracer` of one feature; see `layer`. With `context_features` the
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
    Loss

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
    >>> bool(np.allclose(model.parameters["centre"], x.mean(axis=0), atol=0.1))
    True
    """
    if (features is None) == (shape is None):
        raise TypeError("an objective has either features or a shape")
    size = tuple(shape) if shape is not None else (integer("features", features, 1),)
    inputs: dict[str, Shape] = {"x": size}
    if integer("context_features", context_features, 0) > 0:
        inputs["context"] = (context_features,)
    declarations = Declarations(parameters, networks)
    numbers: list[float] = []
    text = _traced("loss", loss, inputs, Trace(declarations, numbers), "loss")
    module = _core.Module(text, **declarations.options(), numbers=numbers)
    return Loss(module, dtype, seed)


class Function:
    """A named function of a model, which is built once and kept; made by `function`.

    Attributes
    ----------
    name : str
    inputs, outputs : tuple of (str, tuple of int)
        Their names and shapes.
    """

    def __init__(self, model: _core.Model, name: str) -> None:
        self.model, self.name = model, name
        self.inputs: Ports
        self.outputs: Ports
        self.inputs, self.outputs = model._functions()[name]

    def __repr__(self) -> str:
        def ports(pairs: Ports) -> str:
            return ", ".join(f"{name} {shape}" for name, shape in pairs)

        return f"Function {self.name}: {ports(self.inputs)} -> {ports(self.outputs)}"

    def __call__(self, *inputs: ArrayLike, seed: int = 0, start: int = 0) -> Any:
        """The outputs for arrays of rows, (n, features) each: an array, or a tuple of arrays.

        Parameters
        ----------
        *inputs : array_like, shape (n, features)
            One row of a context stands for all. A table is matched to the names that the model has
            learned where it is ``x`` or ``context``; other inputs go by position.
        seed, start : int
            Of noise, as of `Flow.log_prob`.
        """
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name} takes {len(self.inputs)} arrays, got {len(inputs)}")
        results = self.model._call(self.name, inputs, seed, start)
        return results[0] if len(results) == 1 else results


def function(
    model: _core.Model,
    function: Callable[..., Any],
    name: str | None = None,
    *,
    inputs: Mapping[str, int | Shape] | None = None,
    loss: bool = False,
) -> Function:
    """A named function of a model, traced once, built when first called, and kept.

    Parameters
    ----------
    model : Loss or Flow
    function : callable
        ``function(x, p, context)`` returns a `Tracer`, or a tuple of them. ``p`` has the parameters
        and networks of an `objective`, and the model's functions: of a flow ``p.log_prob(x)``,
        ``p.inverse(x)`` and ``p.forward(u)`` with their ``log_det``, ``p.score(x)`` with its
        ``log_prob``, each with the context, if the flow has one, as a further argument.
    name : str, optional
        None is the function's own. Names are unique in a model.
    inputs : mapping of str to int or tuple of int, optional
        Names and features (or shapes) of the arguments; None is ``x`` and, if the model has one,
        ``context``.
    loss : bool, default False
        Whether it is a loss, a number a row, which ``model.fit(x, loss=...)`` minimises.

    Returns
    -------
    Function

    Raises
    ------
    ValueError
        If sizes do not fit, or the name is taken.
    TypeError
        If the function returns something else.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> flow = cf.realnvp(2, layers=2, hidden=(8,), dtype="float64", seed=0)
    >>> squared = nn.function(flow, lambda x, p: nn.sum(p.score(x)[0] ** 2), "squared_score")
    >>> bool((squared([[1.0, 2.0]])[:, 0] == (flow.grad_log_prob([[1.0, 2.0]]) ** 2).sum(1)).all())
    True
    """
    known = model._functions()
    name = function.__name__ if name is None else name
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"a function needs a name, an identifier of ASCII letters, got {name!r}")
    if inputs is None:
        inputs = dict(known["log_prob" if "log_prob" in known else "loss"][0])
    shapes = {port: (n,) if isinstance(n, int) else tuple(n) for port, n in inputs.items()}
    module = model.module
    declarations = Declarations(None, None) if module is None else Declarations.of(module)
    numbers: list[float] = []
    trace = Trace(declarations, numbers, known)
    text = _traced(name, function, shapes, trace, "loss" if loss else "out")
    model._add_function(text, numbers)
    return Function(model, name)
