"""Live progress: what is shown where, and that nothing of it can harm the work."""

import io
import re
import sys
import warnings
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from cflows.fit_progress import FitProgress
from cflows.progress import Lines
from fits import moons_rows, new_flow, quietly, same


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    """Another test may have imported what tells a notebook."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    quietly(new_flow(), moons_rows(), **{"validation": 0.2, **options})
    return stream.getvalue()


def test_progress_is_a_line_where_nobody_watches(monkeypatch):
    text = shown(monkeypatch, io.StringIO(), progress=True)
    assert re.fullmatch(r"epoch 3/3, 100%: loss \S+, validation \S+, [\d,]+ rows/s\n", text)
    assert shown(monkeypatch, io.StringIO(), progress="auto") == ""


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    text = shown(monkeypatch, Terminal(), progress="auto")
    last = text.rstrip("\n").split("\r")[-1]
    assert last.startswith("epoch 3/3: 100%") and "rows/s" in last
    assert "loss " in last and "validation " in last
    assert shown(monkeypatch, Terminal(), progress=False) == ""


def test_progress_needs_no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown(monkeypatch, Terminal(), progress=True).startswith("epoch 3/3, 100%: loss ")


def test_rows_of_weight_0_are_none_of_an_epoch(monkeypatch):
    x, polled = moons_rows(), []
    weights = np.arange(len(x)) % 4 == 0
    monkeypatch.setattr(FitProgress, "update", lambda self, report, rows: polled.append(self.rows))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    quietly(new_flow(), x, weights=weights, progress=True)
    assert set(polled) == {np.count_nonzero(weights)}


def test_lines_are_seconds_apart(monkeypatch):
    clock = iter(range(1000))  # a second a look
    monkeypatch.setattr("cflows.progress.time.monotonic", lambda: next(clock))
    progress = FitProgress(Lines(), epochs=5, rows=100)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for epoch in range(1, 6):
        report = SimpleNamespace(epoch=epoch, train=1.0, validation=np.nan)
        progress.update(report, 50 if epoch == 2 else 100)
    progress.close()
    assert sys.stderr.getvalue().splitlines() == [
        "epoch 2/5 at most, 30%: loss 1.0000, 75 rows/s",
        "epoch 4/5 at most, 80%: loss 1.0000, 125 rows/s",
        "epoch 5/5, 100%: loss 1.0000, 100 rows/s",
    ]


def test_a_fit_that_ends_early_says_so(monkeypatch):
    def second(report):
        return report.epoch == 2

    text = shown(monkeypatch, io.StringIO(), progress=True, callback=second)
    assert text.startswith("epoch 2/3, stopped early, 67%: loss ")
    text = shown(monkeypatch, Terminal(), progress=True, callback=second)
    bars = text.rstrip("\n").split("\r")
    assert bars[-1].startswith("epoch 2/3, stopped early:  67%")
    assert not any("stopped" in bar for bar in bars[:-2])


@pytest.mark.parametrize("kernel", [False, True])
def test_a_notebook_has_its_own_bar(monkeypatch, kernel):
    """tqdm.auto chooses; without widgets it warns, which is nothing a fit has to say."""
    made = []

    class Bar:
        n = 0

        def __init__(self, **options):
            made.append(options)

        def __getattr__(self, name):
            return lambda *args, **options: None

    def fallback(name):
        warnings.warn("IProgress not found", UserWarning, stacklevel=1)
        return SimpleNamespace(tqdm=Bar) if name == "tqdm.auto" else import_module(name)

    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setattr("cflows.progress.import_module", fallback)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown(monkeypatch, Terminal(), progress="auto")
    assert [options["total"] for options in made] == [3 * 480] * kernel


class GoneTerminal(Terminal):
    """Takes some writes, and then none."""

    def __init__(self, writes):
        super().__init__()
        self.writes = writes

    def write(self, text):
        self.writes -= 1
        if self.writes < 0:
            raise BrokenPipeError("gone")
        return super().write(text)


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("writes", [0, 1, 3])
def test_progress_that_fails_ends_itself_alone(monkeypatch, bar, writes):
    monkeypatch.setattr("cflows.progress._SECONDS_BETWEEN_LINES", 0.0)
    if not bar:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    flow, plain = new_flow(), new_flow()
    monkeypatch.setattr(sys, "stderr", GoneTerminal(writes))
    history = quietly(flow, moons_rows(), progress=True)
    quietly(plain, moons_rows())
    assert same(flow, plain) and len(history.train) == 3


def test_progress_needs_no_open_stream(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert len(quietly(new_flow(), moons_rows(), progress="auto").train) == 3
    assert len(quietly(new_flow(), moons_rows(), progress=True).train) == 3


def test_ctrl_c_passes_through_progress(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Lines, "show", interrupted)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert quietly(new_flow(), moons_rows(), progress=True).stopped == "interrupted"
