"""Warm-up of a VAE: what weighs how much in the steps of an epoch."""

import copy

import numpy as np
import pytest

import cflows as cf
import differences
from cflows import nn

ROWS, FEATURES, LATENTS, SEED = 12, 3, 2, 7
NET = cf.MLP((4,), activation="tanh")
# Rows alike, so that it does not matter in which order an epoch takes them.
X = np.broadcast_to([1.0, 0.0, 1.0], (ROWS, FEATURES)).copy()


def new_vae(posterior):
    vae = cf.VAE(
        NET,
        NET,
        LATENTS,
        FEATURES,
        prior=[cf.Coupling(conditioner=NET, scale="tanh")],
        posterior=posterior,
        dtype="float64",
        seed=0,
    )
    rng = np.random.default_rng(0)
    for parameter in vae.parameters.values():
        parameter[...] = 0.7 * rng.normal(size=parameter.shape)
    return vae


def terms(vae, start):
    """Means of log p(x|z), and of log p(z) - log q(z|x), with the noise of rows from `start` on."""
    z = vae.encode(X, mean=False, seed=SEED, start=start)
    p = vae.decode(z)
    reconstruction = (X * np.log(p) + (1 - X) * np.log(1 - p)).sum(axis=1)
    bound = vae.log_prob(X, seed=SEED, start=start)
    return reconstruction.mean(), (bound - reconstruction).mean()


def expected_step(vae, start, weight):
    """By differences: encoder and posterior see the second term with the weight."""
    step = {}
    for name, array in vae.parameters.items():
        first = differences.gradient(lambda: terms(vae, start)[0], array)
        second = differences.gradient(lambda: terms(vae, start)[1], array)
        inner = name.startswith("layers.1.") and ".decoder." not in name
        step[name] = first + (weight if inner else 1.0) * second
    return step


POSTERIORS = {
    "normal": (),
    "flow": (cf.Coupling(conditioner=NET, scale="tanh"), cf.ActNorm()),
}


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_weight_of_prior_and_posterior_rises_to_one(posterior):
    vae, rate, warmup = new_vae(POSTERIORS[posterior]), 0.05, 2
    states = [copy.copy(vae)]
    vae.fit(
        X,
        validation=None,
        epochs=4,
        batch_size=ROWS,
        optimizer=cf.SGD(rate),
        clip_norm=None,
        kl_warmup=warmup,
        seed=SEED,
        progress=False,
        callback=lambda _: states.append(copy.copy(vae)),
    )
    for epoch in range(1, 5):
        before, after = states[epoch - 1], states[epoch]
        weight = min(1.0, epoch / (warmup + 1))
        expected = expected_step(before, ROWS * (epoch - 1), weight)
        for name, array in expected.items():
            moved = (after.parameters[name] - before.parameters[name]) / rate
            np.testing.assert_allclose(moved, array, rtol=1e-7, atol=1e-7)


def test_losses_are_those_of_weight_one():
    """Training and validation losses of an epoch are bounds, whatever the gradients weigh."""
    vae = new_vae(())
    states = [copy.copy(vae)]
    options = {"optimizer": cf.SGD(0.05), "clip_norm": None, "seed": SEED, "progress": False}
    history = vae.fit(
        X,
        epochs=3,
        batch_size=ROWS,
        kl_warmup=5,
        callback=lambda _: states.append(copy.copy(vae)),
        **{"validation": None, **options},
    )
    losses = [-sum(terms(states[k], ROWS * k)) for k in range(3)]
    np.testing.assert_allclose(history.train, losses, rtol=1e-12)


def test_a_loss_without_the_terms_has_no_warm_up():
    vae = new_vae(())
    loss = nn.function(vae, lambda x, p: -p.log_prob(x), "bound", loss=True)
    before = {name: array.copy() for name, array in vae.parameters.items()}
    with pytest.raises(ValueError, match="the loss bound has no kl_weight"):
        vae.fit(X, validation=None, loss=loss, kl_warmup=3, epochs=2, seed=SEED, progress=False)
    for name, array in before.items():
        assert np.array_equal(vae.parameters[name], array)
    vae.fit(X, validation=None, loss=loss, epochs=1, seed=SEED, progress=False)
