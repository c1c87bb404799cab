"""Checks of arguments: each returns a plain Python value or an error that names the argument."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Collection, Iterable
from numbers import Integral, Real
from typing import Any, TypeVar, cast

from ._core import Criterion


def integer(name: str, value: Any, minimum: int, maximum: int = 2**63 - 1) -> int:
    """An int from `minimum` to `maximum`, or ValueError; TypeError for another kind."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {shown(value)}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"{name} must be {minimum} or more, got {number}")
    if number > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {number}")
    return number


def real(name: str, value: Any) -> float:
    """A float; TypeError for another kind, ValueError for what no float holds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must fit a float") from None


def shown(value: Any) -> str:
    """A value in a message: of arrays and tables the shape, of others a short repr."""
    shape = getattr(value, "shape", ())
    if isinstance(value, type):
        return f"the class {value.__name__}: write {value.__name__}(...)"
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}…"


def listed(names: Iterable[Any], most: int = 12) -> str:
    """The first names with commas between them, for messages; empty ones are left out."""
    known = [text for text in map(str, names) if text]
    return ", ".join(known[:most]) + (", …" if len(known) > most else "")


_Function = TypeVar("_Function", bound=Callable[..., Any])

# What people write who come from other libraries: other words for the same.
_OTHER_WORDS = {
    "lr": "learning_rate",
    "n_layers": "layers",
    "num_layers": "layers",
    "n_flows": "layers",
    "depth": "layers",
    "transforms": "layers",
    "hidden_features": "hidden",
    "hidden_sizes": "hidden",
    "hidden_units": "hidden",
    "hidden_dims": "hidden",
    "dim": "features",
    "n_features": "features",
    "context_dim": "context_features",
    "random_state": "seed",
    "verbose": "progress",
    "n_iter": "epochs",
    "sample_weight": "weights",
}


def hint(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` of a keyword that others call so or that looks alike, else nothing."""
    known = list(known)
    other = _OTHER_WORDS.get(name, name)
    if other == "learning_rate" and "optimizer" in known:
        other = "optimizer=cf.Adam(…)"
    elif other not in known:
        return near(name, known)
    return f"; did you mean {other}?"


def near(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` if a known name looks like this one, else nothing."""
    from difflib import get_close_matches

    names = {other.lower(): other for other in known}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return f"; did you mean {names[close[0]]}?" if close else ""


def refuse_unknown(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """TypeError for the first keyword that the function of this name does not know."""
    for keyword in given:
        if keyword not in known:
            meant = hint(str(keyword), known)
            raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}{meant}")


def with_hints(function: _Function) -> _Function:
    """The function, whose error about an unknown keyword says which was meant."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        refuse_unknown(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return cast(_Function, checked)


def gradient_limit(clip_norm: Any) -> float:
    """The core's `clip_norm`: 0, no limit, for None and for infinity."""
    limit = math.inf if clip_norm is None else real("clip_norm", clip_norm)
    if not limit > 0.0:
        raise ValueError(f"clip_norm must be above 0 or None, got {clip_norm}")
    return limit if limit < math.inf else 0.0


def decay(ema: Any) -> float:
    """The decay of the weights' average; 0, no average, for None."""
    if ema is None:
        return 0.0
    value = real("ema", ema)
    if not 0.0 <= value < 1.0:
        raise ValueError(f"ema must be from 0 to below 1 or None, got {ema}")
    return value


def checked_loss(model: Any, loss: Any) -> str | Criterion:
    """The name of a loss of the model, or a criterion; None is the model's default loss."""
    if loss is None:
        return str(model._loss)
    if isinstance(loss, Criterion):
        return loss
    name = getattr(loss, "name", loss)
    if not isinstance(name, str):
        raise TypeError(
            "loss must be a name, a function of nn.function or a loss such as cf.FlowMatching(), "
            f"got {shown(loss)}"
        )
    if getattr(loss, "model", model) is not model:
        raise ValueError(f"the loss {name} is of another model")
    return name


def drawn_seed() -> int:
    """63 bits of the operating system's entropy."""
    return int.from_bytes(os.urandom(8), "little") >> 1


def checked_seed(seed: Any) -> int:
    """A seed of 64 bits; None is a drawn one."""
    return drawn_seed() if seed is None else integer("seed", seed, 0, 2**64 - 1)


def check_callback(callback: Any) -> None:
    """TypeError unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function, got {shown(callback)}")
