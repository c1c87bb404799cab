"""Names of options that type checkers know: they are the core's, and a wrong one is an error."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

import cflows as cf
from cflows import option_names
from cflows.optim import SCHEDULES, STEP_SCHEDULES


def documented(owner: Any, option: str) -> set[str]:
    """The names that a docstring of the core lists."""
    found = re.search(rf"^{option} : {{(.*?)}}", inspect.getdoc(owner) or "", re.MULTILINE)
    assert found
    return set(re.findall(r"'(\w+)'", found[1]))


def test_the_names_are_the_cores() -> None:
    assert set(get_args(option_names.Activation)) == documented(cf.MLP, "activation")
    assert set(get_args(option_names.ScaleForm)) == documented(cf.Scale, "form")
    assert set(get_args(option_names.BlockResidual)) == documented(cf.BlockNeural, "residual")
    assert set(get_args(option_names.ContractionActivation)) == documented(
        cf.Residual, "activation"
    )
    assert set(get_args(option_names.LogDetForm)) == documented(cf.Residual, "log_det")
    assert set(get_args(option_names.PlanarActivation)) == documented(cf.Planar, "h")
    assert set(get_args(option_names.SolverName)) == documented(cf.Continuous, "solver")
    assert set(get_args(option_names.Direction)) == documented(cf.Autoregressive, "parallel")
    assert set(get_args(option_names.ScheduleName)) == set(SCHEDULES)
    assert set(get_args(option_names.StepScheduleName)) == set(STEP_SCHEDULES)


WRONG = """
import cflows as cf

cf.realnvp(2, activation="rellu")
cf.nsf(2, activation="rellu")
cf.maf(2, scale="soft")
cf.glow((1, 8, 8), scale="soft")
cf.nice(2, standardize="robustly")
cf.iaf(2).fit([[0.0]], schedule="cosin")
cf.residual(2, log_det="exactly")
cf.planar(2, explicit="backward")
cf.cnf(2, solver="rk45")
cf.realnvp(2).fit_target(lambda x: x, schedule="plateau")
cf.realnvp(2).fit_target(lambda x: x, loss="kl")
cf.Trainer(cf.glow1d(2), schedule="plateau")
"""
RIGHT = """
flow = cf.maf(2, activation="silu", scale=cf.Scale("exp"), standardize="robust")
flow.fit([[0.0]], schedule="plateau")
flow.fit([[0.0]], schedule=cf.Cosine())
"""


def test_a_type_checker_refuses_wrong_names(tmp_path: Path) -> None:
    source = tmp_path / "names.py"
    source.write_text(WRONG + RIGHT)
    # In the folder of the package, whose cache it shares.
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(source)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    lines = [int(line) for line in re.findall(r"names\.py:(\d+): error", done.stdout)]
    wrong = [n for n, line in enumerate(WRONG.splitlines(), 1) if line.startswith("cf.")]
    assert lines == wrong, done.stdout + done.stderr
    assert done.stdout.count("Literal[") >= len(wrong)


@pytest.mark.parametrize("name", get_args(option_names.Activation))
def test_every_activation_is_taken(name: str) -> None:
    assert cf.realnvp(2, layers=1, hidden=(4,), activation=name, seed=0).features == 2
