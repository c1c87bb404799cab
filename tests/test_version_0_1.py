"""Files that version 0.1.0 wrote: checkpoints resume, models score the same and go on."""

from pathlib import Path

import numpy as np
import pytest

import cflows as cf

FOLDER = Path(__file__).parent / "version_0_1"
ROW = np.arange(60)
X = np.stack([ROW * 37 % 61, ROW * ROW * 13 % 59], axis=1) / 16  # the same on every machine
LOG_PROB = np.load(FOLDER / "log_prob.npz")  # of X[:5] at the end of the uninterrupted fits
OPTIONS = {"validation": 0.25, "epochs": 8, "batch_size": 15, "seed": 5, "progress": False}
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # in float64 nothing but the order of sums has changed
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


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "results.npz") as file:
        return dict(file)


def test_a_flow(expected):
    flow = cf.load(FOLDER / "flow.safetensors")
    assert [layer.type for layer in flow.layers] == [
        "Coupling", "ActNorm", "Permutation", "Autoregressive", "BatchNorm", "Affine"
    ]  # fmt: skip
    assert flow.dtype == np.float64
    assert isinstance(flow.base, cf.StudentT)
    coupling = {name for name in flow.parameters if name.startswith("layers.0.")}
    assert coupling <= set(flow.frozen)
    x, context = expected["x"], expected["context"]
    np.testing.assert_allclose(flow.log_prob(x, context), expected["flow"], **EXACT)
    sample = flow.sample(4, context[:1], seed=1)
    np.testing.assert_allclose(sample, expected["sample"], **EXACT)


def test_a_vae(expected):
    vae = cf.load(FOLDER / "vae.safetensors")
    np.testing.assert_allclose(vae.log_prob(expected["x"], seed=7), expected["vae"], **EXACT)


def test_an_objective(expected):
    """It was a flow, and is one: its log_prob is the loss with the other sign."""
    model = cf.load(FOLDER / "objective.safetensors")
    x, context = expected["x"], expected["context"]
    found = model.log_prob(x, context)
    np.testing.assert_allclose(found, expected["objective"], **EXACT)
    p = {name.removeprefix("layers.0."): array for name, array in model.parameters.items()}
    hidden = np.maximum(x @ p["net.linear0.weight"].T + p["net.linear0.bias"], 0.0)
    output = hidden @ p["net.linear1.weight"].T + p["net.linear1.bias"]
    truth = -((output * p["a"] - context) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, truth, **EXACT)


def test_a_checkpoint_of_another_fit():
    flow = new_flow()
    before = flow.log_prob(X)
    optimizer, schedule = FITS["adam"]
    options = OPTIONS | {"batch_size": 8, "optimizer": optimizer, "schedule": schedule}
    with pytest.raises(ValueError, match="batch_size"):
        flow.fit(X, resume=FOLDER / "adam.checkpoint", **options)
    assert np.array_equal(flow.log_prob(X), before)


@pytest.mark.parametrize("name", ["flow", "vae", "objective"])
def test_what_is_loaded_is_saved_and_trained(expected, tmp_path, name):
    x, context = expected["x"], expected["context"]
    rows = (x,) if name == "vae" else (x, context)
    model = cf.load(FOLDER / f"{name}.safetensors")
    model.save(tmp_path / "again.safetensors")
    again = cf.load(tmp_path / "again.safetensors")
    for one in (model, again):
        one.fit(*rows, epochs=2, seed=1, progress=False)
    for parameter, array in model.parameters.items():
        assert np.array_equal(again.parameters[parameter], array)


FORMER_NAMES = {
    "Partial": (cf.OnFeatures, {"features": [1], "layer": cf.Exp()}),
    "TurnedTransform": (cf.ShiftedTransform, {"transform": cf.Spline(3)}),
}


@pytest.mark.parametrize("name", FORMER_NAMES)
def test_former_names(name):
    present, options = FORMER_NAMES[name]
    assert getattr(cf, name) is present
    assert cf._core.make_spec(name, options) == present(**options)
