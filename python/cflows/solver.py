"""How the equations of continuous flows are solved, chosen anew for a flow that has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from .derived import derived

if TYPE_CHECKING:
    from .flow import Flow
    from .option_names import SolverName

__all__ = ["with_solver"]


def with_solver(
    self: Flow,
    solver: SolverName | None = None,
    *,
    steps: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Flow:
    """A copy of the flow whose `Continuous` layers are solved in another way.

    A velocity that was learned by flow matching may be solved in a few equal steps, fast and
    coarsely, or to many digits.

    Parameters
    ----------
    solver : {'dopri5', 'tsit5', 'rk4', 'euler'}, optional
        None leaves it as it is.
    steps : int, optional
        As of `Continuous`; None leaves it or, with a new solver, is that solver's default.
    rtol, atol : float, optional
        None leaves them.

    Returns
    -------
    Flow
        With copies of all parameters and buffers.

    Raises
    ------
    ValueError
        If the flow has no `Continuous` layer, or an option is not one of these.
    RuntimeError
        If an epoch of `fit` is under way in another thread.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Continuous(cf.MLP((16,), "silu"))], features=2, seed=0)
    >>> flow.with_solver("euler", steps=4).layers[0].spec
    Continuous(network=MLP(hidden=(16,), activation='silu'), solver='euler', steps=4)
    """
    given = {"solver": solver, "steps": steps, "rtol": rtol, "atol": atol}
    chosen: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    if solver is not None:
        chosen.setdefault("steps", None)
    found: list[bool] = []
    layers = tuple(_solved(layer.spec, chosen, found) for layer in self.layers)
    if not found:
        raise ValueError("the flow has no Continuous layer, whose solver could be another")
    copy = derived(self, layers=layers)
    copy.columns, copy.categories = self.columns, self.categories
    return copy


def _solved(spec: Any, chosen: dict[str, Any], found: list[bool]) -> Any:
    """The spec with other options of `Continuous` layers; notes what it has found."""
    if isinstance(spec, (list, tuple)):
        return type(spec)(_solved(part, chosen, found) for part in spec)
    if not isinstance(spec, _core.Layer):
        return spec
    options = {name: _solved(value, chosen, found) for name, value in spec.options.items()}
    if isinstance(spec, _core.Continuous):
        found.append(True)
        options |= chosen
    return type(spec)(**options)
