"""The core from C: the programs of tests/c, plain and sanitized, at every instruction set."""

import os
import subprocess
from pathlib import Path

import pytest

from c_build import ROOT, SIMD_LEVELS, program, simd_levels

CORE = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "csrc").rglob("*.c")
    if "bindings" not in path.parts
)
# -g1: lines are all that reports need, and compile in two thirds of the time.
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")
BUILDS = {"plain": (), "sanitized": SANITIZERS}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    "name",
    [
        "test_engine",
        "test_loop",
        "test_root",
        "test_root_search",
        "test_fixed_point",
        "test_recorded",
        "test_nested",
        "test_flow",
        "test_conv",
    ],
)
def test_c_program(name, build):
    flags = ("-O1", f"-I{ROOT / 'tests' / 'c'}", *BUILDS[build])
    path: Path = program([f"tests/c/{name}.c", *CORE], flags)
    for level in simd_levels():
        environment = {**os.environ, "CFLOWS_SIMD": SIMD_LEVELS[level]}
        ran = subprocess.run(
            [path], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{SIMD_LEVELS[level]}: {ran.stderr[-4000:]}"
