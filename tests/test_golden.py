"""Golden cases: numbers that other libraries computed, reproduced from their weights."""

import os
from pathlib import Path

import numpy as np
import pytest

from golden_reader import Case

FOLDER = Path(os.environ.get("CFLOWS_GOLDEN") or Path(__file__).parent / "golden")
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))

# float32 against float64 references: rounding of every layer, amplified by the layers after it.
FLOAT32 = 1e-4


def close(ours, theirs, tolerance):
    """The comparison that the cases' README states."""
    assert ours.shape == theirs.shape
    assert np.all(np.abs(ours - theirs) <= tolerance * (1 + np.abs(theirs)))


def close_gradient(ours, theirs, tolerance):
    assert ours.shape == theirs.shape
    assert np.max(np.abs(ours - theirs), initial=0) <= tolerance * (1 + np.max(np.abs(theirs)))


def test_there_are_golden_cases():
    assert len(CASES) >= 8 or "CFLOWS_GOLDEN" in os.environ


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    case = Case.read(FOLDER / f"{name}.npz")
    arrays, tolerance = case.arrays, case.meta["tolerance"]
    flow, sources = case.build()
    context, fresh = arrays.get("context"), arrays.get("context_fresh")

    u, log_det = flow.inverse(arrays["x"], context)
    latents = case.latents()
    close(u.reshape(len(u), -1)[:, latents], arrays["u"], tolerance["rel"])
    close(log_det, arrays["log_det_inverse"], tolerance["rel"])
    close(flow.log_prob(arrays["x"], context), arrays["log_prob"], tolerance["rel"])

    u = arrays["u_fresh"][:, np.argsort(latents)]
    x, log_det = flow.forward(u.reshape(-1, *flow.base_shape), fresh)
    close(x, arrays["x_from_u"], tolerance["x_from_u_rel"])
    close(log_det, arrays["log_det_forward"], tolerance["log_det_forward_rel"])

    rows = arrays["grad_rows"]
    score = flow.grad_log_prob(arrays["x"], context)
    close_gradient(-score[rows] / len(rows), arrays["grad/x"][rows], tolerance["grad_rel"])

    weights = np.zeros(len(arrays["x"]))
    weights[rows] = 1
    loss, gradients = flow.loss_and_grad(arrays["x"], context, weights=weights)
    assert loss == pytest.approx(-arrays["log_prob"][rows].mean(), rel=tolerance["rel"])
    assert sorted(gradients) == sorted(sources)
    for parameter, source in sources.items():
        if parameter in flow.frozen:  # running statistics
            assert not np.any(gradients[parameter])
            continue
        for ours, theirs in source.gradients(gradients[parameter], arrays):
            close_gradient(ours, theirs, tolerance["grad_rel"])
        # Weights that the flow has no place for, as the reference masks them, have gradient 0.
        assert not np.any(source.unread(arrays, "grad/"))


@pytest.mark.parametrize("name", CASES)
def test_golden_float32(name):
    case = Case.read(FOLDER / f"{name}.npz")
    flow, _ = case.build("float32")
    regular = np.setdiff1d(np.arange(len(case.arrays["x"])), case.meta["rows"]["special_rows"])
    context = case.arrays.get("context")
    x = case.arrays["x"][regular]
    context = None if context is None else context[regular]
    u, log_det = flow.inverse(x, context)
    assert u.dtype == log_det.dtype == np.float32
    close(u.reshape(len(u), -1)[:, case.latents()], case.arrays["u"][regular], FLOAT32)
    close(log_det, case.arrays["log_det_inverse"][regular], FLOAT32)
