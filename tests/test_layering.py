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
    "api",
    "bindings",
]
PUBLIC = CSRC / "cflows.h"  # the library's users see it alone: it stands below all
FILES = sorted(path for path in CSRC.rglob("*.[ch]") if path != PUBLIC)
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)


def test_the_folders_are_the_design():
    assert sorted(ORDER) == sorted(p.name for p in CSRC.iterdir() if p.is_dir())


def test_the_public_header_stands_alone():
    includes = INCLUDE.findall(PUBLIC.read_text())
    assert set(includes) == {"stdbool.h", "stddef.h", "stdint.h"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_downwards(path):
    own = path.relative_to(CSRC).parts[0]
    for include in INCLUDE.findall(path.read_text()):
        if include == "Python.h" or include.startswith(("numpy/", "structmember")):
            assert own == "bindings", f"{include} outside the bindings"
        elif (CSRC / include).exists() and "/" in include:
            folder = include.split("/")[0]
            assert ORDER.index(folder) <= ORDER.index(own), f"{own} includes {include}"
            assert folder != "api" or own == "api", "Python and C programs stand side by side"
        else:
            assert not include.startswith(tuple(f"{name}/" for name in ORDER)), "no such header"
