"""What `print(flow)` shows, and a notebook of flows and histories."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from .part import shared_names

if TYPE_CHECKING:
    from . import _core
    from .ensembles import Ensemble
    from .history import History

LONGEST = 72  # characters of a layer's description: lists of indices can have an entry a feature


def describe(flow: _core.Flow) -> str:
    """The chain, base to data, with arrows, shapes and numbers of parameters.

    Parameters
    ----------
    flow : Flow

    Returns
    -------
    str

    Examples
    --------
    >>> import cflows as cf
    >>> print(describe(cf.Flow([cf.Coupling(), cf.Affine()], features=2, seed=0)))
    Flow: u -> x, 2 features, float32, 4,418 parameters
      base         u (n, 2)         Normal()
      layers.0  ->   (n, 2)  4,418  Coupling()
      layers.1  -> x (n, 2)         Affine()
    """
    return "\n".join([_title(flow), *_lines(_chain(flow))])


def flow_table(flow: _core.Flow) -> str:
    """The same as a table of HTML."""
    names = [
        ("x", getattr(flow, "columns", None)),
        ("context", getattr(flow, "context_columns", None)),
    ]
    notes = [f"{port}: {_shorten(', '.join(known))}" for port, known in names if known]
    rows = [(n, arrow.strip(), size, _shorten(text)) for n, arrow, size, text in _chain(flow)]
    return _table([_title(flow), *notes], ("", "shape", "parameters", ""), rows)


def ensemble_lines(model: Ensemble) -> list[str]:
    """A line that sums up an ensemble, and one for each member with its weight."""
    return [_ensemble_title(model), *(f"  {k}  {w}  {text}" for k, w, text in _members(model))]


def ensemble_table(model: Ensemble) -> str:
    """The same as a table of HTML."""
    return _table([_ensemble_title(model)], ("member", "weight", ""), _members(model))


def _ensemble_title(model: Ensemble) -> str:
    given = " | context" if model.context_features else ""
    count = _plural(model.n_parameters, "parameter")
    return f"Ensemble: {_plural(len(model), 'flow')} of x{given}, {count}"


def _members(model: Ensemble) -> list[tuple[str, str, str]]:
    pairs = zip(model.weights, model, strict=True)
    return [(str(k), f"{weight:.4f}", _title(flow)) for k, (weight, flow) in enumerate(pairs)]


def history_table(history: History) -> str:
    """The first, best and last epoch as a table of HTML."""
    epochs = len(history.train)
    best = history.best_epoch
    shown = sorted({1, epochs, *([] if best is None else [best])}) if epochs else []
    lists = (history.train, history.validation, history.learning_rate, history.steps)

    def cell(values: Iterable[float | None], epoch: int) -> str:
        # A history that a user assembled may lack lists.
        value = next(iter(list(values)[epoch - 1 : epoch]), None)
        return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

    rows = [
        (f"{epoch}, best" if epoch == best else str(epoch), *(cell(v, epoch) for v in lists))
        for epoch in shown
    ]
    return _table([repr(history)], ("epoch", "train", "validation", "rate", "steps"), rows)


def _table(titles: Iterable[str], header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of HTML, with lines above."""

    def line(cells: Iterable[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    above = "".join(f"<div>{escape(title)}</div>" for title in titles)
    body = "".join(line(row, "td") for row in rows)
    return (
        f"<div>{above}<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table></div>"
    )


def _chain(flow: _core.Flow) -> list[tuple[str, str, str, str]]:
    """Names, arrows with shapes, numbers of parameters and descriptions, from the base on."""
    sizes = {name: array.size for name, array in flow.parameters.items()}
    rows = []
    if flow.embedding is not None:
        seen = f"     (n, {_seen_features(flow)})"
        rows.append(("embedding", seen, _count(sizes, "embedding."), repr(flow.embedding)))
    base = _shape(flow.base_shape)
    rows.append(("base", f"   u {base}", _count(sizes, "base."), repr(flow.base)))
    last = len(flow.layers) - 1
    shared: set[str] = set()  # counted at the first place
    for i, layer in enumerate(flow.layers):
        name = f"layers.{i}"
        first = set(shared_names([layer])) - shared
        shared |= first
        arrow = f"-> {'x' if i == last else ' '} {_shape(layer.shape)}"
        starts = (f"{name}.", *(f"shared.{tied}." for tied in first))
        rows.append((name, arrow, _count(sizes, starts), repr(layer.spec)))
    return rows


def _seen_features(flow: _core.Flow) -> int:
    """How many numbers the layers see as their context, behind an embedding."""
    assert flow.embedding is not None
    if flow.embedding.features is not None:
        return flow.embedding.features
    own = [array for name, array in flow.parameters.items() if name.startswith("embedding.")]
    return flow.context_features + sum(int(vectors.shape[1]) - 1 for vectors in own)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, ('n', *shape)))})"


def _title(flow: _core.Flow) -> str:
    given = " | context" if flow.context_features else ""
    size = " x ".join(map(str, flow.shape))
    sample = f"images of {size}" if len(flow.shape) > 1 else _plural(flow.features, "feature")
    parts = [f"Flow: u -> x{given}", sample]
    if flow.context_features:
        raw = "" if flow.standardize_context else ", as they are"
        parts.append(_plural(flow.context_features, "context feature") + raw)
    parts += [str(flow.dtype), _plural(flow.n_parameters, "parameter")]
    if flow.frozen:
        frozen = sum(flow.parameters[name].size for name in flow.frozen)
        parts.append(f"{frozen:,} of them frozen")
    return ", ".join(parts)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _count(sizes: dict[str, int], prefix: str | tuple[str, ...]) -> str:
    count = sum(size for name, size in sizes.items() if name.startswith(prefix))
    return f"{count:,}" if count else ""


def _lines(rows: list[tuple[str, str, str, str]]) -> list[str]:
    names, arrows, counts, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        f"  {name:<{names}}  {arrow:<{arrows}}  {count:>{counts}}  {_shorten(text)}"
        for name, arrow, count, text in rows
    ]


def _shorten(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[: text.rfind(",", 0, LONGEST - 3)] + ", …)"
