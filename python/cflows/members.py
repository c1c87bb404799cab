"""Flows with weights: what the members of an ensemble are and have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .arguments import near, shown
from .arrays import real_array
from .flow import Flow
from .named import NamedColumns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .categories import Labels

__all__ = ["LABELS", "Members"]

Float64 = NDArray[np.float64]

# What has to be the same for flows to be of one ensemble.
LABELS = ("categories", "context_categories")
_COMMON = ("shape", "context_features", "dtype", "columns", "context_columns", *LABELS)


class Members(NamedColumns):
    """The members of an `Ensemble`, and their weights."""

    def __init__(self, flows: Iterable[Flow], weights: ArrayLike | None = None) -> None:
        members = tuple(flows)
        _check_members(members)
        self.__dict__["_flows"] = members
        self.weights = np.ones(len(members)) if weights is None else weights

    @property
    def flows(self) -> tuple[Flow, ...]:
        """tuple of Flow: the members."""
        found: tuple[Flow, ...] = self.__dict__["_flows"]
        return found

    @property
    def weights(self) -> Float64:
        """ndarray of float64, shape (K,): the weights, whose sum is 1; a copy. Set them to have
        others, in any unit."""
        found: Float64 = self.__dict__["_weights"].copy()
        return found

    @weights.setter
    def weights(self, weights: ArrayLike) -> None:
        found = real_array("weights", weights).astype(np.float64)
        if found.shape != (len(self.flows),):
            raise ValueError(
                f"weights must have shape ({len(self.flows)},), one a member, got {found.shape}"
            )
        total = float(found.sum())
        if not ((found >= 0.0).all() and 0.0 < total < math.inf):
            raise ValueError(f"weights must be 0 or more, finite and not all 0, got {weights!r}")
        self.__dict__["_weights"] = found / total

    def __len__(self) -> int:
        return len(self.flows)

    @overload
    def __getitem__(self, index: int) -> Flow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Flow, ...]: ...
    def __getitem__(self, index: int | slice) -> Flow | tuple[Flow, ...]:
        return self.flows[index]

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.flows)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(Flow, name):
            raise AttributeError(
                f"an Ensemble has no {name}; each member has it: ensemble[0].{name}"
            )
        known = [other for other in dir(type(self)) if not other.startswith("_")]
        raise AttributeError(f"an Ensemble has no attribute {name!r}{near(name, known)}")

    # -- what the members have in common -- #

    @property
    def shape(self) -> tuple[int, ...]:
        """That of a sample."""
        return self.flows[0].shape

    @property
    def features(self) -> int:
        """The number of columns of the data, or of numbers of an image."""
        return self.flows[0].features

    @property
    def context_features(self) -> int:
        """The number of columns of the context; 0 is none."""
        return self.flows[0].context_features

    @property
    def dtype(self) -> np.dtype[np.floating[Any]]:
        """That of the members."""
        return self.flows[0].dtype

    @property
    def stochastic(self) -> bool:
        """Whether a member has stochastic layers."""
        return any(flow.stochastic for flow in self.flows)

    @property
    def n_parameters(self) -> int:
        """Of all members together."""
        return sum(flow.n_parameters for flow in self.flows)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x, as of `Flow.columns`. Setting them sets the members'."""
        return self.flows[0].columns

    @columns.setter
    def columns(self, names: Iterable[str] | None) -> None:
        _set_of_all(self, "columns", names)

    @property
    def context_columns(self) -> tuple[str, ...] | None:
        """The names of the columns of the context; as of `columns`."""
        return self.flows[0].context_columns

    @context_columns.setter
    def context_columns(self, names: Iterable[str] | None) -> None:
        _set_of_all(self, "context_columns", names)

    @property
    def categories(self) -> Labels | None:
        """The labels of categories, as of `Flow.categories`."""
        return self.flows[0].categories

    @property
    def context_categories(self) -> Labels | None:
        """The labels of categories of the context, as of `Flow.context_categories`."""
        return self.flows[0].context_categories


def _check_members(flows: Sequence[Any]) -> None:
    if not flows:
        raise ValueError("an ensemble has at least one flow, got none")
    for k, flow in enumerate(flows):
        if not isinstance(flow, Flow):
            raise TypeError(f"member {k} must be a Flow, got {shown(flow)}")
        if any(flow is other for other in flows[:k]):
            raise ValueError(f"member {k} is in the ensemble already: copy.copy(flow) is another")
        for name in _COMMON:
            own, first = getattr(flow, name), getattr(flows[0], name)
            if own != first:
                raise ValueError(
                    f"members must have the same {name}: that of member 0 is {first}, that of "
                    f"member {k} {own}"
                )


def _set_of_all(model: Members, name: str, value: Any) -> None:
    for flow in model.flows:
        setattr(flow, name, value)
