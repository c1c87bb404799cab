"""Tables of HTML that a notebook shows of flows and histories."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

import cflows as cf


class Cells(HTMLParser):
    """The texts of a table's rows, and those above it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.above: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        else:
            self.above.append(data)


def test_a_flow_is_its_chain() -> None:
    flow = cf.Flow([cf.Coupling(hidden=(4,)), cf.Affine()], 2, context_features=1, seed=0)
    flow.columns = ["<b>mass</b>", "a & b"]
    flow.context_columns = ["age"]
    table = Cells(flow._repr_html_())
    lines = str(flow).splitlines()
    assert table.above == [lines[0], "x: <b>mass</b>, a & b", "context: age"]
    assert len(table.rows) == len(lines)  # the title is not a row, the header is
    for row, line in zip(table.rows[1:], lines[1:], strict=True):
        assert line.split() == " ".join(row).split()


def test_a_history_is_its_telling_epochs() -> None:
    history = cf.History(
        train=[3.0, 2.0, 1.5, 1.25],
        validation=[3.5, 2.25, 2.5, None],
        learning_rate=[0.1] * 4,
        steps=[1000, 2000, 3000, 4000],
        stopped="patience",
        best_epoch=2,
    )
    table = Cells(history._repr_html_())
    assert table.above == [repr(history)]
    assert table.rows == [
        ["epoch", "train", "validation", "rate", "steps"],
        ["1", "3", "3.5", "0.1", "1,000"],
        ["2, best", "2", "2.25", "0.1", "2,000"],
        ["4", "1.25", "", "0.1", "4,000"],
    ]
    assert len(Cells(cf.History()._repr_html_()).rows) == 1
    assert Cells(cf.History(train=[1.0])._repr_html_()).rows[1] == ["1", "1", "", "", ""]


def test_of_a_fit() -> None:
    flow = cf.maf(2, layers=1, hidden=(4,), seed=0)
    x = np.random.default_rng(0).normal(size=(200, 2))
    history = flow.fit(x, epochs=3, seed=0, progress=False)
    assert Cells(history._repr_html_()).rows[-1][0].startswith("3")
