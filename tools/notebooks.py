"""Runs the notebooks and stores in them what they show, for readers who do not run them.

    python tools/notebooks.py [NAME ...]

Without names, all of them. What is stored is what is printed and the pictures, small ones of few
colours; of all else, execution counts, times and warnings among it, a file would differ from run to
run.
"""

from __future__ import annotations

import base64
import io
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
DPI = 60
COLOURS = 48
SETUP = f"import matplotlib\nmatplotlib.rcParams['figure.dpi'] = {DPI}"


def main(names: list[str]) -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            notebook = nbformat.read(path, as_version=4)
            store(notebook)
            nbformat.write(notebook, path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def store(notebook: Any) -> None:
    """Give the outputs of a run to the cells."""
    for cell, run in zip(notebook.cells, executed(notebook), strict=True):
        if cell.cell_type == "code":
            cell.outputs = kept(run.outputs)


def executed(notebook: Any) -> list[Any]:
    """The cells of a copy of the notebook that has been run; its pictures are small."""
    copy = deepcopy(notebook)
    copy.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    nbclient.NotebookClient(copy, timeout=600, kernel_name="python3").execute()
    cells: list[Any] = copy.cells[1:]
    return cells


def kept(outputs: list[Any]) -> list[Any]:
    """The outputs to store: what was printed, as one, and the results."""
    printed = [o.text for o in outputs if o.output_type == "stream" and o.name == "stdout"]
    results = [portable(o.data) for o in outputs if "data" in o]
    stored = [nbformat.v4.new_output("display_data", data=data) for data in results if data]
    if printed:
        stored.insert(0, nbformat.v4.new_output("stream", name="stdout", text="".join(printed)))
    return stored


def portable(data: Any) -> dict[str, str]:
    """What code hosts show of a result: a picture, or else text or a table; of an animation
    nothing."""
    if "image/png" in data:
        return {"image/png": small(data["image/png"])}
    if any(kind.startswith("image/") for kind in data):
        return {}
    return {kind: data[kind] for kind in ("text/html", "text/plain") if kind in data}


def small(picture: str) -> str:
    """A picture with a palette; both are PNG in base64."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    file = io.BytesIO()
    # A palette that spans the colours, as a density's few bright pixels need theirs.
    spanning = Image.Quantize.MAXCOVERAGE
    few = image.quantize(COLOURS, spanning, kmeans=2, dither=Image.Dither.NONE)
    few.save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main(sys.argv[1:])
