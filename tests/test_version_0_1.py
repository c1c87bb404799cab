"""Files that version 0.1.0 wrote: checkpoints resume, models have their densities."""

from pathlib import Path

import numpy as np
import pytest

import cflows as cf

FOLDER = Path(__file__).parent / "version_0_1"
ROW = np.arange(60)
X = np.stack([ROW * 37 % 61, ROW * ROW * 13 % 59], axis=1) / 16  # the same on every machine
LOG_PROB = np.load(FOLDER / "log_prob.npz")  # of X[:5] at the end of the uninterrupted fits
OPTIONS = {"validation": 0.25, "epochs": 8, "batch_size": 15, "seed": 5, "progress": False}
FITS = {
    "adam": (cf.Adam(0.01, beta2=0.99), "constant"),
    "adamw": (cf.AdamW(0.01, weight_decay=0.1), cf.Cosine(warmup=3, final=0.1)),
    "sgd": (cf.SGD(0.05, momentum=0.9), cf.Plateau(factor=0.7, patience=1, threshold=0.0)),
}


def new_flow():
    couplings = [cf.Coupling(hidden=(5,), activation="tanh") for _ in range(2)]
    layers = [couplings[0], cf.Permutation("reverse"), couplings[1], cf.Affine()]
    return cf.Flow(layers, features=2, dtype="float64", seed=1)


@pytest.mark.parametrize("name", FITS)
def test_checkpoints_resume(name):
    optimizer, schedule = FITS[name]
    flow = new_flow()
    resume = FOLDER / f"{name}.checkpoint"  # after 4 epochs
    history = flow.fit(X, **OPTIONS, optimizer=optimizer, schedule=schedule, resume=resume)
    assert len(history.train) == 8
    np.testing.assert_allclose(flow.log_prob(X[:5]), LOG_PROB[name], rtol=1e-9)


def test_models_load():
    flow = cf.load(FOLDER / "model.safetensors")
    np.testing.assert_allclose(flow.log_prob(X[:5]), LOG_PROB["sgd"], rtol=1e-9)
