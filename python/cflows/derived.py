"""Flows that are made of another one's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["derived"]


def derived(flow: Flow, **changes: Any) -> Flow:
    """A flow with the state of another, as it was at one moment, and with these changes to it.

    Parameters
    ----------
    flow : Flow
    **changes
        Of the state, by name, such as ``layers``, ``base`` and ``shape``; and ``tensors``, a
        function from the parameters, buffers or frozen names of the one to those of the other.
    """
    from .flow import Flow

    parameters, buffers = flow._snapshot()
    tensors = changes.pop("tensors", dict)
    state = {
        "layers": tuple(layer.spec for layer in flow.layers),
        "base": flow.base,
        "embedding": flow.embedding,
        "shape": flow.shape,
        "context_features": flow.context_features,
        "standardize_context": flow.standardize_context,
        "dtype": str(flow.dtype),
        "seed": flow.seed,
        "parameters": tensors(parameters),
        "buffers": tensors(buffers),
        "frozen": tuple(tensors(dict.fromkeys(flow.frozen))),
        "attributes": {},
        **changes,
    }
    copy = Flow.__new__(Flow)
    copy.__setstate__(state)
    copy.context_columns = flow.context_columns
    copy.context_categories = flow.context_categories
    return copy
