"""Live displays of how far work is: a bar where tqdm is installed, plain lines otherwise."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

__all__ = ["Bar", "Display", "Lines", "new_display", "watched"]

_SECONDS_BETWEEN_LINES = 2.0


def new_display(
    total: float | None = None, done: float = 0.0, *, unit: str | None = "rows", delay: float = 0.0
) -> Display | None:
    """A display on the standard error; None if that cannot be written.

    Parameters
    ----------
    total, done : float
        How much there is to do, if that is known, and how much of it is done.
    unit : str or None, default 'rows'
        What is counted; with None only the part that is done is shown.
    delay : float, default 0
        Seconds; shorter work shows nothing.
    """
    if sys.stderr is None:
        return None
    with suppress(Exception):  # such as a terminal that is gone
        bar = _new_bar(total, done, unit, delay) if watched() else None
        return Lines(done, unit, delay) if bar is None else Bar(bar)
    return None


def watched() -> bool:
    """Whether somebody sees the standard error now, on a terminal or in a notebook."""
    with suppress(Exception):  # such as a closed stream
        return "ipykernel" in sys.modules or sys.stderr.isatty()
    return False


def _new_bar(total: float | None, done: float, unit: str | None, delay: float) -> Any:
    """None without tqdm."""
    try:
        with warnings.catch_warnings():
            # A notebook without ipywidgets gets the bar of terminals.
            warnings.simplefilter("ignore")
            bar = import_module("tqdm.auto" if "ipykernel" in sys.modules else "tqdm").tqdm
    except ImportError:
        return None
    options: dict[str, Any] = {"total": total, "initial": done, "delay": delay}
    if unit is None:
        options["bar_format"] = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    else:
        options |= {"unit": f" {unit}", "unit_scale": True}
    return bar(**options, file=sys.stderr)


class Display:
    """Shows how far work is.

    If that fails, as on a closed terminal, the display ends and the work goes on.
    """

    ended = False

    def update(self, title: str, done: float, total: float, words: str = "") -> None:
        """Show that `done` of `total` is done, and what else there is to say."""
        if self.ended:
            return
        try:
            self.show(title, done, total, words)
        except Exception:
            self.close()

    def close(self, title: str = "") -> None:
        """End the display, with another title if there is one."""
        self.ended = True
        with suppress(Exception):
            self.finish(title)

    def show(self, title: str, done: float, total: float, words: str) -> None:
        raise NotImplementedError

    def finish(self, title: str) -> None:
        raise NotImplementedError


class Bar(Display):
    """A bar of tqdm, which shows what is done and the rate itself."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def show(self, title: str, done: float, total: float, words: str) -> None:
        self.bar.total = total
        self.bar.set_description_str(title, refresh=False)
        self.bar.set_postfix_str(words, refresh=False)
        self.bar.update(done - self.bar.n)

    def finish(self, title: str) -> None:
        if title:
            self.bar.set_description_str(title, refresh=False)
        self.bar.close()


class Lines(Display):
    """A line every few seconds, and one at the end unless the work took less than `delay`."""

    def __init__(self, done: float = 0.0, unit: str | None = "rows", delay: float = 0.0) -> None:
        self.unit, self.delay = unit, delay
        self.started = self.last_line = time.monotonic()
        self.told = done
        self.title = self.line = ""

    def show(self, title: str, done: float, total: float, words: str) -> None:
        now = time.monotonic()
        said = [words] if words else []
        if self.unit is not None:
            rate = (done - self.told) / max(now - self.last_line, 1e-9)
            said += [] if words else [f"{done:,.0f} {self.unit}"]
            said.append(f"{rate:,.0f} {self.unit}/s")
        self.title = title
        self.line = f", {done / total if total else 1.0:.0%}" + ": " * bool(said) + ", ".join(said)
        if now - self.last_line >= _SECONDS_BETWEEN_LINES:
            self._print()
            self.last_line, self.told = now, done

    def finish(self, title: str) -> None:
        if self.line and time.monotonic() - self.started >= self.delay:
            self.title = title or self.title
            self._print()

    def _print(self) -> None:
        print(self.title + self.line, file=sys.stderr, flush=True)
        self.line = ""
