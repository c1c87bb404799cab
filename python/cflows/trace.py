"""From functions of rows to the instructions of an expression layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from .rows import Rows, concat, tracing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Network(NamedTuple):
    """A network and its sizes.

    Attributes
    ----------
    network : Conditioner
        Such as an `MLP`.
    inputs, outputs : int
        Features of what it reads and gives.
    """

    network: _core.Conditioner
    inputs: int
    outputs: int


class Declarations:
    """Named parameters, with where they start, and networks."""

    def __init__(
        self, parameters: Mapping[str, ArrayLike] | None, networks: Mapping[str, Network] | None
    ) -> None:
        self.starts = {k: np.asarray(v, np.float64) for k, v in (parameters or {}).items()}
        self.networks = {name: Network(*network) for name, network in (networks or {}).items()}
        both = self.starts.keys() & self.networks.keys()
        if both:
            raise ValueError(f"{min(both)!r} is a parameter and a network")
        for name, array in self.starts.items():
            if array.ndim > 2 or array.size == 0:
                raise ValueError(
                    f"{name} must be a number, a vector or a matrix, got {array.shape}"
                )

    @classmethod
    def of(cls, spec: _core.Expression) -> Declarations:
        """Those of a layer, of which a spec keeps `options`."""
        starts = np.array(spec.starts)
        parameters: dict[str, NDArray[Any]] = {}
        networks: dict[str, Network] = {}
        specs = iter(spec.networks)
        for line in filter(None, spec.declarations.split(";")):
            kind, name, *sizes = line.split()
            if kind == "parameter":
                parameters[name], starts = np.split(starts, [int(sizes[0])])
            else:
                networks[name] = Network(next(specs), int(sizes[0]), int(sizes[1]))
        return cls(parameters, networks)

    def options(self) -> dict[str, Any]:
        """For a spec."""
        lines = [f"parameter {name} {array.size}" for name, array in self.starts.items()]
        for name, (_, inputs, outputs) in self.networks.items():
            lines.append(f"network {name} {inputs} {outputs}")
        return {
            "declarations": ";".join(lines),
            "starts": [float(x) for array in self.starts.values() for x in array.ravel()],
            "networks": [network.network for network in self.networks.values()],
        }


class _Declared:
    """What functions get as p: parameters as `Rows`, networks as functions of them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        return self._trace.declared(name)


class Trace:
    """One function on its way to instructions; the numbers are shared with others of the layer.

    The function is called ``with`` the trace, which is then the one that functions of rows add to.
    """

    def __init__(self, declarations: Declarations, numbers: list[float]) -> None:
        self.declarations, self.numbers = declarations, numbers
        self.lines: list[str] = []

    def __enter__(self) -> Trace:
        self._outer = tracing.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        tracing.reset(self._outer)

    def arguments(self, features: int, context_features: int) -> list[Any]:
        """Of the function: the rows, what was declared and, if there is one, the context."""
        arguments = [self.emit("input", [], [features], size=features), _Declared(self)]
        if context_features > 0:
            arguments.append(self.emit("context", [], [context_features], size=context_features))
        return arguments

    def emit(
        self,
        op: str,
        operands: Sequence[Rows] = (),
        integers: Sequence[int] = (),
        numbers: Sequence[float] = (),
        *,
        size: int,
    ) -> Rows:
        for operand in operands:
            if operand._trace is not self:
                raise ValueError("these Rows are of another function's trace")
        words = [*(r._number for r in operands), *integers, *map(self._place, numbers)]
        self.lines.append(" ".join([op, *map(str, words)]))
        return Rows(self, len(self.lines) - 1, size)

    def _place(self, number: float) -> int:
        number = float(number)
        if not math.isfinite(number):
            raise ValueError(f"numbers must be finite, got {number}")
        if number not in self.numbers:
            self.numbers.append(number)
        return self.numbers.index(number)

    def declared(self, name: str) -> Any:
        starts, networks = self.declarations.starts, self.declarations.networks
        if name in starts:
            return self.emit("parameter", [], [list(starts).index(name)], size=starts[name].size)
        if name not in networks:
            known = ", ".join([*starts, *networks]) or "none"
            raise AttributeError(f"no parameter or network is called {name!r}, of {known}")
        number, network = list(networks).index(name), networks[name]

        def call(x: Rows) -> Rows:
            if len(x) != network.inputs:
                raise ValueError(f"{name} reads {network.inputs} features, got {len(x)}")
            return self.emit("network", [x], [number], size=network.outputs)

        return call

    def constant(self, value: Any) -> Rows:
        """A number, or a vector feature by feature."""
        array = np.asarray(value, np.float64)
        if array.ndim > 1 or array.size == 0:
            raise ValueError(f"a constant is a number or a vector, got shape {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"a constant must be finite, got {value}")
        if np.all(array == array.flat[0]):
            return self.emit("constant", [], [array.size], [float(array.flat[0])], size=array.size)
        return concat([self.constant(number) for number in array])

    def rows(self, value: Any) -> Rows:
        """What functions take for rows: these or a constant."""
        return value if isinstance(value, Rows) else self.constant(value)

    def text(self, value: Rows, log_det: Rows | None = None) -> str:
        """The instructions, which return value and perhaps log_det."""
        returned = [value] if log_det is None else [value, log_det]
        last = " ".join(["return", *(str(rows._number) for rows in returned)])
        return ";".join([*self.lines, last])
