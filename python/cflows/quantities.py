"""Quantities of astropy and pint: a model knows numbers alone, not their units."""

from __future__ import annotations

from typing import Any

__all__ = ["without_units"]


def without_units(name: str, values: Any, hint: str = "") -> Any:
    """The numbers of quantities that have no dimension; anything else as it is.

    Raises
    ------
    TypeError
        If they have units; it says what to write, and ends with the hint.
    """
    if isinstance(values, (list, tuple)):
        if len(values) == 0 or not (_is_of_astropy(values[0]) or _is_of_pint(values[0])):
            return values
        return [without_units(f"{name}[{i}]", row) for i, row in enumerate(values)]
    if _is_of_astropy(values):
        return _of_astropy(name, values, hint)
    return _of_pint(name, values) if _is_of_pint(values) else values


def _is_of_astropy(values: Any) -> bool:
    return hasattr(values, "to_value") and hasattr(values, "unit")


def _is_of_pint(values: Any) -> bool:
    return hasattr(values, "m_as") and hasattr(values, "units")


def _of_astropy(name: str, values: Any, hint: str) -> Any:
    unit = values.unit
    # Magnitudes, which have no bases, are logarithms of what would be converted.
    if hasattr(unit, "bases") and unit.is_equivalent(""):
        return values.to_value("")
    raise _has_units(name, unit, "to_value", hint)


def _of_pint(name: str, values: Any) -> Any:
    if values.unitless:  # angles in degrees are not
        return values.m_as("")
    raise _has_units(name, values.units, "m_as")


def _has_units(name: str, unit: Any, method: str, hint: str = "") -> TypeError:
    array = name.rpartition(": ")[2]  # without what stands before, such as "validation: "
    return TypeError(
        f"{name} must be plain numbers, got a quantity in {unit}: a model does not know units; "
        f"write, with the same unit everywhere, {'' if ' ' in array else array}.{method}"
        f"({str(unit)!r}){hint}"
    )
