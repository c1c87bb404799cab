"""Golden cases, read and built."""

from .case import Case

__all__ = ["Case"]
