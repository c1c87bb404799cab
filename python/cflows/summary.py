"""What `print(flow)` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _core

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
    sizes = {name: array.size for name, array in flow.parameters.items()}
    rows = []
    if flow.embedding is not None:
        seen = f"     (n, {flow.embedding.features})"
        rows.append(("embedding", seen, _count(sizes, "embedding."), repr(flow.embedding)))
    base = _shape(flow.base_shape)
    rows.append(("base", f"   u {base}", _count(sizes, "base."), repr(flow.base)))
    last = len(flow.layers) - 1
    for i, layer in enumerate(flow.layers):
        name = f"layers.{i}"
        arrow = f"-> {'x' if i == last else ' '} {_shape(layer.shape)}"
        rows.append((name, arrow, _count(sizes, f"{name}."), repr(layer.spec)))
    return "\n".join([_title(flow), *_lines(rows)])


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


def _count(sizes: dict[str, int], prefix: str) -> str:
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
