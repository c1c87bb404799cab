"""Targets written in C, for `Flow.fit_target` and `Flow.importance_sample`."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CTarget"]

_ADDRESSES = 2 ** (8 * ctypes.sizeof(ctypes.c_void_p))


class CTarget:
    """A target written in C, for `Flow.fit_target` and `Flow.importance_sample`.

    Its type is ``int f(size_t rows, size_t features, const double *x, size_t context_features,
    const double *context, double *log_density, double *gradient, void *data)``. It fills
    ``log_density``, by row, and ``gradient``, rows × features, for the rows ``x`` and their
    contexts (NULL in a flow without), all in C order, and returns 0; any other value is an error.
    It runs without the GIL.

    Parameters
    ----------
    function : ctypes function or int
        A function of a library that ctypes loaded, or its address (of numba's or cffi's).
    data : int or ctypes object, optional
        The last argument: an address, a pointer (`ctypes.pointer`, `ctypes.byref`,
        `ctypes.c_void_p`), or an object to point to: a number, an array, a structure. None is NULL.

    Raises
    ------
    TypeError
        If `function` or `data` is of another kind.
    ValueError
        If `function` is NULL or either is no address.

    Examples
    --------
    The C function here is one that ctypes makes of Python:

    >>> import ctypes
    >>> import numpy as np
    >>> import cflows as cf
    >>> pointer = ctypes.POINTER(ctypes.c_double)
    >>> @cf.CTarget.type
    ... def normal(rows, features, x, context_features, context, log_density, gradient, data):
    ...     for i in range(rows):
    ...         log_density[i] = -0.5 * x[i] ** 2
    ...         gradient[i] = -x[i]
    ...     return 0
    >>> flow = cf.Flow([], features=1)
    >>> found = flow.importance_sample(cf.CTarget(normal), 1000, seed=0)
    >>> bool(abs(found.log_evidence - 0.5 * np.log(2 * np.pi)) < 1e-6)
    True
    """

    _number = ctypes.POINTER(ctypes.c_double)
    type = ctypes.CFUNCTYPE(
        ctypes.c_int,
        ctypes.c_size_t,
        ctypes.c_size_t,
        _number,
        ctypes.c_size_t,
        _number,
        _number,
        _number,
        ctypes.c_void_p,
    )
    """The function's type for ctypes."""

    def __init__(self, function: Any, data: Any = None) -> None:
        self._function = self.type(_address_of_function(function))
        self._kept = function, data
        self._data = None if data is None else _address_of_data(data)

    def __call__(
        self, x: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(log_density, gradient) of the rows x, (n, features), with context (n or 1, …)."""
        x = np.ascontiguousarray(x, np.float64)
        if x.ndim != 2:
            raise ValueError(f"x must have shape (n, features), got {x.shape}")
        log_density, gradient = np.empty(len(x)), np.empty_like(x)
        given = None if context is None else np.atleast_2d(np.asarray(context, np.float64))
        if given is not None:
            if given.ndim != 2 or len(given) not in (1, len(x)):
                raise ValueError(f"context must have 1 or {len(x)} rows, got shape {given.shape}")
            given = np.ascontiguousarray(np.broadcast_to(given, (len(x), given.shape[1])))
        status = self._function(
            len(x),
            x.shape[1],
            _address(x),
            0 if given is None else given.shape[1],
            None if given is None else _address(given),
            _address(log_density),
            _address(gradient),
            self._data,
        )
        if status != 0:
            raise RuntimeError(f"the target returned {status}")
        return log_density, gradient


def _address_of_function(function: Any) -> int:
    address = function
    # ctypes has no public name for the class of its functions.
    if hasattr(function, "argtypes") and not isinstance(function, type):
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
    if not _is_integer(address):
        raise TypeError(f"function must be a ctypes function or an address, got {function!r}")
    if not 0 < address < _ADDRESSES:
        raise ValueError(f"function must be an address that is not NULL, got {address}")
    return int(address)


def _address_of_data(data: Any) -> int | None:
    """The address that a C function gets: a pointer's value, else the object's address."""
    if _is_integer(data):
        if not 0 <= data < _ADDRESSES:
            raise ValueError(f"data must be an address, got {data}")
        return int(data)
    if not isinstance(data, (bool, str, bytes)):
        with suppress(ctypes.ArgumentError):  # neither a pointer nor an array
            return ctypes.cast(data, ctypes.c_void_p).value
        with suppress(TypeError):
            return ctypes.addressof(data)
    raise TypeError(f"data must be an address or a ctypes object, got {data!r}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _address(array: NDArray[np.float64]) -> Any:
    return array.ctypes.data_as(CTarget._number)
