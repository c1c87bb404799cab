"""Arrays of callers: real numbers of the right shape, or an error that says what to write."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Set
from numbers import Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .arguments import shown
from .quantities import without_units


def real_array(name: str, values: Any) -> NDArray[Any]:
    """An array of real numbers, `values` itself if it is one; TypeError that says what to write.

    The bindings call it for all that is not a plain array.
    """
    values = without_units(name, values)
    if isinstance(values, np.ma.MaskedArray) or hasattr(values, "unmasked"):  # of NumPy, of astropy
        raise TypeError(
            f"{name} is a masked array: fill or drop what is masked; {name}.filled(np.nan) makes "
            "missing numbers of it"
        )
    if getattr(values, "has_masked_values", False):
        raise TypeError(
            f"{name} must be an array, got a table with masked values: write {name}.to_pandas(), "
            "whose missing numbers are NaN"
        )
    if isinstance(getattr(values, "colnames", None), list) and values.colnames:
        return _of_astropy(name, values)
    if isinstance(values, Iterator):
        raise TypeError(f"{name} must be an array, got an iterator: write np.array(list({name}))")
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} must be an array, got a sparse one: write {name}.toarray()")
    if isinstance(values, (str, Mapping, Set)) or values is None:
        got = f"a {type(values).__name__}" if isinstance(values, (Mapping, Set)) else repr(values)
        raise TypeError(f"{name} must be an array, got {got}{_way_out(name, values)}")
    array = values if isinstance(values, np.ndarray) else _converted(name, values)
    if array.dtype.names is not None:
        fields = ((f"{name}, field {field},", array[field]) for field in array.dtype.names)
        return np.stack([real_array(*field) for field in fields], axis=-1)
    if array.dtype.kind == "O":
        array = _numbers_of_objects(name, values, array)
    if array.dtype.kind not in "biuf":
        example = f", such as {shown(array.flat[0].item())}" if array.size else ""
        if _is_text_of_numbers(array) and name.isidentifier():
            example += f": numbers in text are {name}.astype(float)"
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}{example}")
    return array


def _of_astropy(name: str, table: Any) -> NDArray[Any]:
    """The columns of a table of astropy side by side, each with a unit of its own or none."""
    hint = f", or astropy.table.Table({name}) for the numbers as they are"
    columns = []
    for column in table.colnames:
        of = f"{name}[{column!r}]"
        columns.append(real_array(of, np.asarray(without_units(of, table[column], hint))))
    return np.stack(columns, axis=-1)


def _is_text_of_numbers(array: NDArray[Any]) -> bool:
    try:
        return array.dtype.kind == "U" and array.astype(float).size > 0
    except ValueError:
        return False


def _way_out(name: str, values: Any) -> str:
    if isinstance(values, Mapping):
        return f"; its columns side by side are np.column_stack(list({name}.values()))"
    is_path = isinstance(values, str) and os.path.splitext(values)[1] != ""
    return "; cflows.data.load_table reads files" if is_path else ""


def _converted(name: str, values: Any) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"{name} must be an array, got rows of different lengths") from None


def refuse_shape(name: str, got: tuple[int, ...], sample: tuple[int, ...]) -> NoReturn:
    """ValueError that says of which shape samples are, and what to write where that is clear.

    The bindings call it for samples of another shape.
    """
    wanted = ", ".join(map(str, ("n", *sample)))
    raise ValueError(f"{name} must have shape ({wanted}), got {got}{_reshaped(name, got, sample)}")


def _reshaped(name: str, got: tuple[int, ...], sample: tuple[int, ...]) -> str:
    """``; write …`` if an array of these sizes is plainly samples in another order."""
    if len(sample) == 3:
        return _images(name, got, sample)
    if len(got) == 1 and sample == (1,):
        return f"; samples of one feature are {name}.reshape(-1, 1)"
    if got == sample:
        return f"; one sample is {name}.reshape(1, -1)"
    if len(got) == 2 and got[:1] == sample:
        return f"; features are columns: write {name}.T"
    if len(got) > 2 and math.prod(got[1:]) == sample[0]:
        return f"; images as rows are {name}.reshape({got[0]}, -1)"
    return ""


def _images(name: str, got: tuple[int, ...], sample: tuple[int, ...]) -> str:
    if len(got) == 4 and got[1:] == (*sample[1:], sample[0]):
        return f"; channels come first: write {name}.transpose(0, 3, 1, 2)"
    if got == sample:
        return f"; one image is {name}[None]"
    if len(got) == 3 and got[1:] == sample[1:] and sample[0] == 1:
        return f"; images of one channel are {name}[:, None]"
    if len(got) == 2 and got[1] == math.prod(sample):
        return f"; rows as images are {name}.reshape{(-1, *sample)}"
    return ""


def _numbers_of_objects(name: str, values: Any, array: NDArray[Any]) -> NDArray[np.float64]:
    """Float64, NaN where something is missing; of a table the message names the columns."""
    if array.ndim > 0 and all(map(_is_number, array.flat)):
        return np.array(
            [[np.nan if _is_missing(v) else v for v in array.flat]], np.float64
        ).reshape(array.shape)
    columns = getattr(values, "columns", None)
    if columns is None or array.ndim != 2:
        wrong = next((v for v in array.flat if not _is_number(v)), array[()])
        raise TypeError(f"{name} must be real numbers, got {shown(wrong)} among objects")
    wrong = [
        f"{column} (such as {shown(next(v for v in cells if not _is_number(v)))})"
        for column, cells in zip(columns, array.T, strict=True)
        if not all(map(_is_number, cells))
    ]
    noun = "column" if len(wrong) == 1 else "columns"
    raise TypeError(
        f"{name} must be real numbers, which is not so in the {noun} {', '.join(wrong)}: choose "
        f"other columns, {name}[[…]], or make numbers of these"
    )


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) or _is_missing(value)
