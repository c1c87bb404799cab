"""The core from C: the programs of tests/c, plain and, with ``pytest -m sanitized``, sanitized, at
every instruction set."""

import os
import re
import subprocess

import pytest

from c_build import CORE, ROOT, SANITIZED, SIMD_LEVELS, installed, link, objects, simd_levels

# Ops that are not differentiated in test_gradients.c, each with its reason.
NO_GRADIENT = {
    "input": "nothing before it",
    "cotangent": "nothing before it",
    "parameter": "nothing before it",
    "constant": "nothing before it",
    "buffer": "nothing before it",
    "random_normal": "nothing before it",
    "random_uniform": "nothing before it",
    "random_uniform_groups": "nothing before it",
    "sample_count": "nothing before it",
    "fixed map constant": "nothing before it",
    "output": "nothing after it",
    "second derivative of stirling": "the remainder can be differentiated twice, no more",
    "output of a fixed map's gradient": "nothing after it",
    "log_standard_deviation": "a start of parameters, which is no function of them",
    "singular_vectors": "held constant: the singular value has its gradient through the weight",
    "winograd kernel": "the weights have their gradient through the convolution itself",
    **dict.fromkeys(
        ("control_step", "trial_step", "first_step"),
        "the lengths of an equation's steps, which are held: test_continuous.py",
    ),
    **dict.fromkeys(
        (
            "a loop",
            "a loop's state",
            "a loop's tape",
            "the tape of a loop",
            "a recorded step",
            "block",
        ),
        "a loop's gradient is by the rule that its user chooses: the tests of loops have them",
    ),
    **dict.fromkeys(
        (
            "a root's step",
            "parts of a logistic mixture",
            "bracket of a logistic mixture",
            "value of a logistic mixture",
        ),
        "in the loop of a root, which has the gradient of the implicit function",
    ),
    **dict.fromkeys(("unsettled", "what has failed"), "a count of samples"),
}


def core_program(name, build):
    """The program of tests/c with the whole core: the static library, or sanitized."""
    test = f"tests/c/{name}.c"
    if build == "sanitized":
        return link(name, objects([test, *CORE], SANITIZED), "", SANITIZED)
    return link(name, [*objects([test]), installed() / "lib/libcflows.a"], "")


@pytest.mark.parametrize("build", ["plain", pytest.param("sanitized", marks=pytest.mark.sanitized)])
@pytest.mark.parametrize(
    "name",
    [
        "test_engine",
        "test_loop",
        "test_root",
        "test_root_search",
        "test_fixed_point",
        "test_gradients",
        "test_recorded",
        "test_nested",
        "test_flow",
        "test_conv",
        "test_public",
        "test_public_errors",
    ],
)
def test_c_program(name, build):
    path = core_program(name, build)
    for level in simd_levels():
        environment = {**os.environ, "CFLOWS_SIMD": SIMD_LEVELS[level]}
        ran = subprocess.run(
            [path], env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert ran.returncode == 0, f"{SIMD_LEVELS[level]}: {ran.stderr[-4000:]}"


def test_gradients_are_compared_of_every_op():
    """All ops of the sources are in the program's table, but those that have a reason not to be."""
    path = core_program("test_gradients", "plain")
    ran = subprocess.run([path, "ops"], capture_output=True, text=True, timeout=900, check=True)
    tested, ops = set(ran.stdout.splitlines()), {}
    for source in CORE:
        for body in re.findall(r"const cf_op \w+ = \{(.*?)\};", (ROOT / source).read_text(), re.S):
            ops[re.search(r'\.name = "(.*?)"', body)[1]] = ".gradient = " in body
    rows = (ROOT / "csrc/ops/function_list.h").read_text()
    for name in re.findall(r"^CF_FUNCTION\((\w+)", rows, re.M):
        ops[name] = ops[f"{name} gradient"] = True
    assert len(ops) > 60
    assert {name for name, has_rule in ops.items() if not has_rule} <= set(NO_GRADIENT)
    assert set(ops) - tested <= set(NO_GRADIENT)
    assert set(NO_GRADIENT) <= set(ops)
