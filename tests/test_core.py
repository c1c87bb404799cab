"""The core from C: the programs of tests/c, plain and sanitized, at every instruction set."""

import os
import re
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


# Ops that are not differentiated twice, each with its reason.
NO_SECOND_GRADIENT = {
    "input": "nothing before it",
    "cotangent": "nothing before it",
    "parameter": "nothing before it",
    "constant": "nothing before it",
    "random_normal": "nothing before it",
    "random_uniform": "nothing before it",
    "row_count": "nothing before it",
    "fixed affine log_det": "nothing before it",
    "output": "nothing after it",
    "log_deviation": "a start of parameters, which is no function of them",
    "winograd kernel": "the weights have their gradient through the convolution itself",
}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    "name",
    [
        "test_engine",
        "test_loop",
        "test_root",
        "test_fixed_point",
        "test_second_gradients",
        "test_recorded",
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


def test_every_smooth_op_has_a_second_gradient():
    """All ops of the sources are in the program's table, but those that have a reason not to be."""
    flags = ("-O1", f"-I{ROOT / 'tests' / 'c'}")
    path = program(["tests/c/test_second_gradients.c", *CORE], flags)
    ran = subprocess.run([path, "ops"], capture_output=True, text=True, timeout=300, check=True)
    tested, ops = set(ran.stdout.splitlines()), {}
    for source in CORE:
        for body in re.findall(r"const cf_op \w+ = \{(.*?)\};", (ROOT / source).read_text(), re.S):
            ops[re.search(r'\.name = "(.*?)"', body)[1]] = ".gradient = " in body
    rows = (ROOT / "csrc/ops/function_list.h").read_text()
    for name in re.findall(r"^CF_FUNCTION\((\w+)", rows, re.M):
        ops[name] = ops[f"{name} gradient"] = True
    assert len(ops) > 60
    assert {name for name, has_rule in ops.items() if not has_rule} <= set(NO_SECOND_GRADIENT)
    assert set(ops) - tested <= set(NO_SECOND_GRADIENT)
    assert set(NO_SECOND_GRADIENT) <= set(ops)
