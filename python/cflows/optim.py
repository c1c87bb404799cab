"""Optimisers and learning-rate schedules as arguments: names, defaults, spelling in files."""

from __future__ import annotations

from collections.abc import Iterable

from ._core import Adam, Optimizer, Schedule, Spec
from .arguments import shown

__all__ = ["SCHEDULES", "STEP_SCHEDULES", "checked_optimizer", "checked_schedule", "spelled"]

SCHEDULES: dict[str, type[Schedule]] = {
    schedule.__name__.lower(): schedule for schedule in Schedule.__subclasses__()
}

STEP_SCHEDULES = ("constant", "cosine")  # a plateau needs epochs


def checked_optimizer(optimizer: object) -> Optimizer:
    """The optimizer, `Adam` for None; TypeError for another type."""
    if optimizer is None:
        return Adam()
    if not isinstance(optimizer, Optimizer):
        *known, last = [kind.__name__ for kind in Optimizer.__subclasses__()]
        raise TypeError(
            f"optimizer must be an {', '.join(known)} or {last}, such as cf.Adam(1e-3), got "
            f"{shown(optimizer)}"
        )
    return optimizer


def checked_schedule(given: object, names: Iterable[str]) -> Schedule:
    """The schedule of this name with its defaults, or the schedule itself."""
    kinds = {name: SCHEDULES[name] for name in names}
    if isinstance(given, str) and given in kinds:
        return kinds[given]()
    if isinstance(given, Schedule) and type(given) in kinds.values():
        return given
    *known, last = [*map(repr, kinds), *(kind.__name__ for kind in kinds.values())]
    error = ValueError if isinstance(given, (str, Schedule)) else TypeError
    raise error(f"schedule must be {', '.join(known)} or {last}, got {given!r}")


def spelled(spec: Spec) -> str:
    """The call that makes it, with all options: later versions may have other defaults."""
    options = ", ".join(f"{name}={value!r}" for name, value in spec.options.items())
    return f"{spec.type}({options})"
