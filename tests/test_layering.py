"""Dependencies point one way, and only the bindings know Python. The includes are the truth."""

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
ORDER = [
    "base",
    "simd",
    "engine",
    "ops",
    "model",
    "nn",
    "dist",
    "layers",
    "flow",
    "train",
    "bindings",
]
FILES = sorted(CSRC.rglob("*.[ch]"))
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)


def folder_of(path):
    parts = path.relative_to(CSRC).parts
    return parts[0] if len(parts) > 1 else None  # cflows.h stands above all but the bindings


def test_the_folders_are_the_design():
    assert sorted(ORDER) == sorted(p.name for p in CSRC.iterdir() if p.is_dir())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_downwards(path):
    own = folder_of(path)
    rank = ORDER.index(own) if own else ORDER.index("train")
    for include in INCLUDE.findall(path.read_text()):
        if include == "Python.h" or include.startswith(("numpy/", "structmember")):
            assert own == "bindings", f"{include} outside the bindings"
        elif (CSRC / include).exists() and "/" in include:
            assert ORDER.index(include.split("/")[0]) <= rank, f"{own} includes {include}"
        elif include == "cflows.h":
            assert own == "bindings"
        else:
            assert not include.startswith(tuple(f"{name}/" for name in ORDER)), "no such header"
