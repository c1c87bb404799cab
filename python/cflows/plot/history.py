"""The loss as a flow learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from .canvas import DATA_COLOUR, SAMPLES_COLOUR, Float, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class HasHistory(Protocol):
    """What `learning_curve` needs: an entry an epoch; steps and seconds are cumulative."""

    @property
    def train(self) -> Sequence[float]: ...
    @property
    def validation(self) -> Sequence[float | None] | None: ...
    @property
    def steps(self) -> Sequence[int]: ...
    @property
    def seconds(self) -> Sequence[float]: ...


def learning_curve(
    history: HasHistory,
    *,
    against: Literal["epochs", "steps", "seconds"] = "epochs",
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss on training and on validation data, and mark the best of the latter.

    Late progress stays visible where the first epochs are far above: they are then triangles on
    the upper edge, and the legend says how high they reach.

    Parameters
    ----------
    history : History
        What ``fit`` returns. Losses that are None or NaN are left out.
    against : {"epochs", "steps", "seconds"}
        The horizontal axis.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If ``against`` is another value.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from cflows import plot
    >>> history = SimpleNamespace(
    ...     train=[3.0, 2.0, 1.5],
    ...     validation=[3.1, 2.2, None],
    ...     steps=[10, 20, 30],
    ...     seconds=[0.1, 0.2, 0.3],
    ... )
    >>> ax = plot.learning_curve(history, against="steps")
    """
    if against not in ("epochs", "steps", "seconds"):
        raise ValueError(f"against must be 'epochs', 'steps' or 'seconds', got {against!r}")
    train = np.array(history.train, dtype=np.float64)
    # A None among the losses becomes NaN.
    losses = [] if history.validation is None else history.validation
    validation = np.array(losses, dtype=np.float64)
    epochs = range(1, len(train) + 1)
    at = np.array(epochs if against == "epochs" else getattr(history, against), dtype=np.float64)

    ax = new_axes(5.5, 3.6) if ax is None else ax
    _line(ax, at, train, DATA_COLOUR, "training")
    if np.isfinite(validation).any():
        _line(ax, at[: len(validation)], validation, SAMPLES_COLOUR, "validation")
        best = int(np.nanargmin(validation))
        label = f"best: {validation[best]:.4g}"
        ax.plot(at[best], validation[best], "o", color=SAMPLES_COLOUR, label=label)
    low, high = _visible(np.concatenate([train, validation]))
    _mark_cut(ax, at, {DATA_COLOUR: train, SAMPLES_COLOUR: validation}, high)
    ax.set(xlabel=against, ylabel="nats per row", ylim=(low, high))
    if against != "seconds":
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(
            MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        )
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def _line(ax: Axes, x: Float, y: Float, colour: str, label: str) -> None:
    shown = np.isfinite(y)
    # A line through a single point would be invisible.
    marker = "o" if shown.sum() == 1 else ""
    ax.plot(x[shown], y[shown], color=colour, marker=marker, markersize=3.0, label=label)


def _mark_cut(ax: Axes, at: Float, losses: dict[str, Float], top: float) -> None:
    """Triangles on the upper edge where losses, by their colours, are above it."""
    label = f"above, up to {np.nanmax(np.concatenate([*losses.values(), [top]])):.4g}"
    edge: Any = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    for colour, loss in losses.items():
        cut = np.flatnonzero(loss > top)
        if len(cut):
            ax.plot(at[cut], np.ones(len(cut)), "^", color=colour, label=label, **edge)
            label = "_once"


def _visible(losses: Float) -> tuple[float, float]:
    """Limits that keep late progress visible, even if the first epochs are far above."""
    finite = losses[np.isfinite(losses)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, late, high = np.quantile(finite, [0.0, 0.8, 1.0])
    # Nothing is cut for less than half of the height.
    top = low + 3.0 * (late - low) if 0.0 < 6.0 * (late - low) < high - low else high
    margin = 0.05 * (top - low) or 0.5
    return float(low - margin), float(top + margin)
