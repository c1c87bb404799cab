"""Files that version 0.1.0 wrote: they load, score the same and go on."""

from pathlib import Path

import numpy as np
import pytest

import cflows as cf

DATA = Path(__file__).parent / "data"
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # in float64 nothing but the order of sums has changed


@pytest.fixture(scope="module")
def expected():
    with np.load(DATA / "results-0.1.0.npz") as file:
        return dict(file)


def test_a_flow(expected):
    flow = cf.load(DATA / "flow-0.1.0.safetensors")
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
    vae = cf.load(DATA / "vae-0.1.0.safetensors")
    np.testing.assert_allclose(vae.log_prob(expected["x"], seed=7), expected["vae"], **EXACT)


def test_an_objective(expected):
    """It was a flow, and is one: its log_prob is the loss with the other sign."""
    model = cf.load(DATA / "objective-0.1.0.safetensors")
    x, context = expected["x"], expected["context"]
    found = model.log_prob(x, context)
    np.testing.assert_allclose(found, expected["objective"], **EXACT)
    p = {name.removeprefix("layers.0."): array for name, array in model.parameters.items()}
    hidden = np.maximum(x @ p["net.linear0.weight"].T + p["net.linear0.bias"], 0.0)
    output = hidden @ p["net.linear1.weight"].T + p["net.linear1.bias"]
    truth = -((output * p["a"] - context) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, truth, **EXACT)


def test_a_checkpoint(expected):
    """Three epochs after the two that it has seen come to what five came to."""
    flow = cf.realnvp(3, layers=2, hidden=(6,), dtype="float64", seed=5)
    options = {"batch_size": 16, "validation": 0.25, "schedule": "plateau", "progress": False}
    path = DATA / "fit-0.1.0.checkpoint"
    history = flow.fit(expected["x"], epochs=5, resume=path, **options)
    np.testing.assert_allclose(history.train, expected["train"], **EXACT)
    np.testing.assert_allclose(history.validation, expected["validation"], **EXACT)
    np.testing.assert_allclose(flow.log_prob(expected["x"]), expected["whole"], **EXACT)


def test_a_checkpoint_of_another_fit(expected):
    flow = cf.realnvp(3, layers=2, hidden=(6,), dtype="float64", seed=5)
    options = {"validation": 0.25, "schedule": "plateau", "progress": False, "epochs": 5}
    before = flow.log_prob(expected["x"])
    with pytest.raises(ValueError, match="batch_size"):
        flow.fit(expected["x"], resume=DATA / "fit-0.1.0.checkpoint", batch_size=8, **options)
    assert np.array_equal(flow.log_prob(expected["x"]), before)


@pytest.mark.parametrize("name", ["flow", "vae", "objective"])
def test_what_is_loaded_is_saved_and_trained(expected, tmp_path, name):
    x, context = expected["x"], expected["context"]
    rows = (x,) if name == "vae" else (x, context)
    model = cf.load(DATA / f"{name}-0.1.0.safetensors")
    model.save(tmp_path / "again.safetensors")
    again = cf.load(tmp_path / "again.safetensors")
    for one in (model, again):
        one.fit(*rows, epochs=2, seed=1, progress=False)
    for parameter, array in model.parameters.items():
        assert np.array_equal(again.parameters[parameter], array)
