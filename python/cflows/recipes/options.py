"""Options that several functions take: signatures and docstrings that list them in full.

A builder has keyword-only parameters and documents them; a recipe takes them as ``**options`` and
passes them on. Type checkers know them by a `TypedDict` beside the builder, everybody else by the
signature and the docstring that `with_options_of` completes.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar, cast

from ..arguments import refuse_unknown

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SECTIONS = ("Parameters", "Returns", "Raises", "References", "Examples")


def with_options_of(builder: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """The options of the decorated function are the keyword-only parameters of the builder.

    Its docstring leaves out what is the same in the builder's: parameters and whole sections.
    """

    def decorate(function: _Function) -> _Function:
        signature = _signature(function, builder)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            _refuse_context(function.__name__, kwargs, signature.parameters)
            refuse_unknown(function.__name__, kwargs, signature.parameters)
            return function(*args, **kwargs)

        completed: Any = checked
        completed.__signature__ = signature
        completed.__doc__ = _docstring(function, builder, signature.parameters)
        return cast(_Function, completed)

    return decorate


def _signature(function: Callable[..., Any], builder: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = inspect.signature(builder).parameters.values()
    return signature.replace(
        parameters=[*own, *(option for option in options if option.kind is option.KEYWORD_ONLY)]
    )


def _refuse_context(function: str, given: Collection[str], known: Collection[str]) -> None:
    """TypeError for an array of contexts, given where their number is meant."""
    if "context" in given and "context_features" in known:
        raise TypeError(
            f"{function}() got an unexpected keyword argument 'context', which is an array; the "
            "number of its columns is context_features"
        )


def _docstring(
    function: Callable[..., Any], builder: Callable[..., Any], parameters: Iterable[str]
) -> str | None:
    if function.__doc__ is None or builder.__doc__ is None:  # python -OO
        return None
    (summary, own), (_, shared) = _sections(function.__doc__), _sections(builder.__doc__)
    paragraphs = _paragraphs(shared["Parameters"]) | _paragraphs(own["Parameters"])
    found = [paragraphs[name] for name in parameters if name in paragraphs]
    sections = shared | own | {"Parameters": "\n".join(found)}
    titled = [f"{t}\n{'-' * len(t)}\n{sections[t]}" for t in _SECTIONS if t in sections]
    return "\n\n".join([summary, *titled])


def _sections(docstring: str) -> tuple[str, dict[str, str]]:
    """The text above NumPy's sections, and those by title."""
    summary, *rest = re.split(r"\n\n(?=\w+\n-+\n)", inspect.cleandoc(docstring))
    parts = [section.split("\n", 2) for section in rest]
    return summary, {title: body for title, _, body in parts}


def _paragraphs(section: str) -> dict[str, str]:
    """The paragraphs of parameters, by name."""
    return {text.split(" : ")[0]: text for text in re.split(r"\n(?=\S)", section)}
