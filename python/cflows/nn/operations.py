"""The core's operations as functions of a `Tracer`, from its list; the stub says which."""

from .tracer import OPERATIONS

__all__ = [*OPERATIONS]

globals().update(OPERATIONS)
