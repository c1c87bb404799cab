"""Samples as tables with names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import ArrayLike, NDArray

from . import _core
from .categories import decoded

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["as_table", "sample"]


@overload
def sample(
    self: Flow,
    n: int,
    context: ArrayLike | None = None,
    seed: int | None = None,
    start: int = 0,
    *,
    as_frame: Literal[False] = False,
) -> NDArray[Any]: ...
@overload
def sample(
    self: Flow,
    n: int,
    context: ArrayLike | None = None,
    seed: int | None = None,
    start: int = 0,
    *,
    as_frame: bool,
) -> Any: ...
def sample(
    self: Flow,
    n: int,
    context: ArrayLike | None = None,
    seed: int | None = None,
    start: int = 0,
    *,
    as_frame: bool = False,
) -> Any:
    rows = _core.Flow.sample(self, n, context, seed, start)
    return as_table(self, rows) if as_frame else rows


def as_table(flow: Flow, rows: NDArray[Any]) -> Any:
    """Samples of a flow as a table of pandas, context by context."""
    if len(flow.shape) > 1:
        raise ValueError(f"as_frame needs samples that are rows, got those of shape {flow.shape}")
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError("as_frame needs pandas: pip install pandas") from error
    rows = rows.reshape(-1, flow.features)
    if flow.categories is None:
        return pandas.DataFrame(rows, columns=flow.columns)
    columns = dict(enumerate(decoded(rows, flow.categories)))
    return pandas.DataFrame(columns).set_axis(flow.columns or range(flow.features), axis=1)


_AS_FRAME = """\
as_frame : bool, default False
    Whether to return a table of pandas, a row a sample, context by context. Its columns have the
    names that the flow learned, or numbers, and categories their labels. Images cannot be one
    (ValueError), and without pandas there is none (ImportError).
"""

# What the core says of its method, and of the argument that is added to it.
sample.__doc__ = (_core.Flow.sample.__doc__ or "").replace(
    "\n\nReturns\n-------\nndarray, shape (n, features)\n",
    f"\n{_AS_FRAME}\nReturns\n-------\nndarray, shape (n, features), or DataFrame\n",
)
