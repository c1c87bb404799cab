"""Consecutive layers of a flow, as a flow of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from . import _core
from .arguments import integer
from .derived import derived

if TYPE_CHECKING:
    from .flow import Flow

T = TypeVar("T")


def part(self: Flow, start: int = 0, stop: int | None = None) -> Flow:
    """The layers from `start` to `stop`, as a flow of their own.

    ``flow.part(0, k)`` carries the base as far as the first ``k`` layers do: its `log_prob` is the
    density there. ``flow.part(k)`` continues from there to the data.

    Parameters
    ----------
    start, stop : int, optional
        As of a slice of `layers`; None is the last. Where they meet, the part is the identity.

    Returns
    -------
    Flow
        With copies of the layers' parameters and buffers, of what standardises the context, of the
        embedding and, if it begins at
        the first layer, of the base; else its base is the standard normal.

    Raises
    ------
    TypeError
        If `start` or `stop` is not an int.
    RuntimeError
        If an epoch of `fit` is under way in another thread.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(features=2, layers=4, dtype="float64", seed=0)
    >>> u = flow.sample(5, seed=1)
    >>> half, _ = flow.part(0, 2).forward(u)
    >>> x, _ = flow.part(2).forward(half)
    >>> bool((x == flow.forward(u)[0]).all())
    True
    """
    start = integer("start", start, -(2**63))
    stop = None if stop is None else integer("stop", stop, -(2**63))
    start, stop, _ = slice(start, stop).indices(len(self.layers))
    stop = max(start, stop)
    shared = (f"shared.{name}." for name in shared_names(self.layers[start:stop]))
    kept = ("context.", "embedding.", *(f"layers.{i}." for i in range(start, stop)), *shared)
    if start == 0:
        kept += ("base.",)

    def chosen(tensors: dict[str, T]) -> dict[str, T]:
        return {
            _renumbered(name, start): value
            for name, value in tensors.items()
            if name.startswith(kept)
        }

    piece = derived(
        self,
        layers=tuple(layer.spec for layer in self.layers[start:stop]),
        base=self.base if start == 0 else _core.Normal(),
        shape=self.layers[stop - 1].shape if stop > 0 else self.base_shape,
        tensors=chosen,
    )
    if stop == len(self.layers):
        piece.columns, piece.categories = self.columns, self.categories
    return piece


def shared_names(layers: Iterable[_core.BoundLayer]) -> list[str]:
    """The names of the `Shared` layers among these and within them, in the order of the chain."""
    found: dict[str, None] = {}
    for layer in layers:
        if layer.type == "Shared":
            found[layer.options["name"]] = None
        found.update(dict.fromkeys(shared_names(layer.layers)))
    return list(found)


def _renumbered(name: str, start: int) -> str:
    """A tensor's name without the first `start` layers."""
    if not name.startswith("layers."):
        return name
    layers, number, rest = name.split(".", 2)
    return f"{layers}.{int(number) - start}.{rest}"
