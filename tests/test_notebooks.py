"""Every notebook runs from top to bottom; they hold assertions of their own.

What they show is stored in them by tools/notebooks.py, and must be of the kinds that a run shows.
"""

import base64
import io
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import notebooks

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def pictures(cell):
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [each["image/png"] for each in data if "image/png" in each]


def has_text(cell):
    """Whether something was printed, or a result is words or a table alone."""
    text = {"text/plain", "text/html"}
    return any(
        output.get("name") == "stdout" or ("data" in output and set(output.data) <= text)
        for output in cell.get("outputs", [])
    )


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    stored = nbformat.read(path, as_version=4)
    run = notebooks.executed(stored)
    assert any(pictures(cell) for cell in run)
    for i, (before, after) in enumerate(zip(stored.cells, run, strict=True)):
        kinds = len(pictures(before)), has_text(before)
        assert kinds == (len(pictures(after)), has_text(after)), (
            f"cell {i} does not show what is stored: python tools/notebooks.py {path.stem}"
        )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_is_small_and_the_same_in_every_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 200_000
    for cell in notebook.cells:
        assert cell.metadata == {} and cell.get("execution_count") is None
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr" and output.output_type != "error"
            assert " at 0x" not in str(output.get("data", {}).get("text/plain", ""))
        for picture in pictures(cell):
            with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
                assert image.format == "PNG" and 100 < image.width < 900 and image.height > 50
