"""The names of a model's columns, which its first fit learns from tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _core
from .arguments import near
from .data_warnings import DataWarning
from .names import checked_names, names_of, repeated_names

__all__ = ["NamedColumns", "known_names", "learn_names", "warn_of_repeated_names"]

Names = tuple[str, ...] | None


class NamedColumns:
    """The attributes of a model that keeps the names of its columns."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def features(self) -> int: ...
        @property
        def context_features(self) -> int: ...

    def __setattr__(self, name: str, value: Any) -> None:
        # A mistyped name is an error, but for classes of one's own.
        if type(self).__module__.startswith("cflows.") and not hasattr(type(self), name):
            kind = type(self).__name__
            raise AttributeError(
                f"a{'n' * (kind[0] in 'AEIOU')} {kind} has no attribute {name!r} to set"
                f"{near(name, dir(type(self)))}"
            )
        super().__setattr__(name, value)

    @property
    def columns(self) -> Names:
        """The names of the columns of x, or None.

        The first `fit` on a table that has names sets them: as text, with dots between those of
        several levels. Tables with names are then matched by them: in any order, with other columns
        beside; arrays go by position, and so do tables of pandas whose columns are 0, 1, ... in
        this order. They are saved with the model. Set them to rename columns, or to None to forget
        them.
        """
        return self.__dict__.get("_columns") if self.features else None

    @columns.setter
    def columns(self, names: Iterable[str] | None) -> None:
        self.__dict__["_columns"] = checked_names("columns", names, self.features)

    @property
    def context_columns(self) -> Names:
        """The names of the columns of the context, or None; as of `columns`."""
        return self.__dict__.get("_context_columns") if self.context_features else None

    @context_columns.setter
    def context_columns(self, names: Iterable[str] | None) -> None:
        known = checked_names("context_columns", names, self.context_features)
        self.__dict__["_context_columns"] = known


def known_names(model: _core.Model, x: Any, context: Any) -> tuple[Names, Names]:
    """The names of the columns of x and of the context that a model knows, or else those of the
    tables."""
    known = (getattr(model, "columns", None), getattr(model, "context_columns", None))
    return known[0] or names_of(x), known[1] or names_of(context)


def learn_names(model: _core.Model, x: Any, context: Any) -> None:
    """Give a model the names of tables, if it has none yet."""
    if isinstance(model, NamedColumns):
        model.columns, model.context_columns = known_names(model, x, context)


def warn_of_repeated_names(model: _core.Model, x: Any, context: Any) -> None:
    """Give a `DataWarning` of tables from which a model without names learns none."""
    if not isinstance(model, NamedColumns):
        return
    ports = (("x", model.columns, x), ("context", model.context_columns, context))
    for port, known, table in ports:
        several = repeated_names(table) if known is None else ()
        if several:
            # The caller of fit, which is wrapped.
            warnings.warn(
                f"{port}: several columns are named {several[0]!r}: the flow keeps no names, and "
                "its columns go by position",
                DataWarning,
                stacklevel=4,
            )
