"""Fits that lead nowhere end with NumericalError and leave a flow that is whole."""

import numpy as np
import pytest

import cflows as cf

X = np.random.default_rng(0).normal(size=(300, 2))
STEPS = 2  # an epoch, at the default batch size


def state(flow):
    return [a.copy() for a in (*flow.parameters.values(), *flow.buffers.values())]


def new_flow(**options):
    return cf.realnvp(2, layers=2, hidden=(8,), seed=0, **options)


@pytest.mark.parametrize("epochs", [1, 9, 100])
def test_it_is_told_however_short_the_fit(epochs):
    flow = new_flow()
    last = min(epochs, 11)  # where the first step went wrong, and 20 more are too many
    with pytest.raises(cf.NumericalError, match=f"diverged: .* the last in epoch {last},"):
        flow.fit(
            X,
            validation=None,
            epochs=epochs,
            optimizer=cf.SGD(1e9),
            clip_norm=None,
            seed=0,
            progress=False,
        )
    assert np.isfinite(flow.log_prob(X)).all()


def test_before_the_first_sound_epoch_the_flow_is_as_it_was():
    flow = new_flow(standardize=False)
    before, x = state(flow), X * 1e30
    with pytest.raises(cf.NumericalError, match="diverged"):
        flow.fit(x, validation=None, epochs=9, seed=0, progress=False)
    for now, then in zip(state(flow), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_buffers_go_back_too_so_that_other_data_are_standardized():
    flow = new_flow()
    before = state(flow)
    with pytest.raises(cf.NumericalError):
        flow.fit(
            X + 50,
            validation=None,
            epochs=9,
            optimizer=cf.SGD(1e9),
            clip_norm=None,
            seed=0,
            progress=False,
        )
    for now, then in zip(state(flow), before, strict=True):
        np.testing.assert_array_equal(now, then)
    flow.fit(X, validation=None, epochs=1, seed=0, progress=False)
    assert -flow.log_prob(X).mean() < 4.0


def test_weights_that_are_lost_in_the_very_last_step():
    flow, x = new_flow(standardize=False), X[:256] * 100
    with pytest.raises(cf.NumericalError, match="not finite"):
        flow.fit(
            x,
            validation=None,
            epochs=1,
            optimizer=cf.SGD(3e38),
            clip_norm=None,
            seed=0,
            progress=False,
        )
    assert np.isfinite(flow.log_prob(X)).all()


def test_a_row_that_is_always_too_far_out_is_no_divergence():
    x = np.vstack([X, [[1e30, 0.0]]])
    flow = new_flow(standardize=False)
    history = flow.fit(x, validation=None, epochs=6, batch_size=16, seed=0, progress=False)
    assert history.stopped == "epochs"
    assert history.skipped == 6  # one a round
    assert history.train[-1] < history.train[0]


@pytest.mark.parametrize("settings", [{"epsilon": 1e-50}, {"beta1": 1 - 1e-9}, {"beta2": 1 - 1e-9}])
def test_settings_that_vanish_in_single_precision(settings):
    optimizer = cf.Adam(1e-3, **settings)
    flow = new_flow()
    with pytest.raises(ValueError, match="in float32 epsilon must differ from 0 and the betas"):
        flow.fit(X, validation=None, epochs=1, optimizer=optimizer, progress=False)
    double = new_flow(dtype="float64")
    double.fit(X, validation=None, epochs=1, optimizer=optimizer, seed=0, progress=False)
    assert np.isfinite(double.log_prob(X)).all()


def test_a_fit_within_a_fit(moons=X):
    flow = new_flow()
    messages = []

    def callback(report):
        with pytest.raises(RuntimeError) as error:
            flow.fit(moons, validation=None, epochs=1)
        messages.append(str(error.value))

    flow.fit(moons, validation=None, epochs=1, seed=0, progress=False, callback=callback)
    assert messages == ["the flow is being fitted: wait until fit returns, or close its Trainer"]


def test_validation_rows_far_out_are_named_not_the_steps():
    flow, far = new_flow(), X[:20].copy()
    far[3] = 1e39
    with pytest.raises(cf.NumericalError, match="validation loss was not finite in any of 7 ep"):
        flow.fit(X, validation=far, epochs=30, patience=7, seed=0, progress=False)
    assert np.isfinite(flow.log_prob(X)).all()
    with pytest.raises(cf.NumericalError, match="diverged"):  # here the steps are to blame
        flow.fit(X, validation=X[:20], optimizer=cf.SGD(1e30), clip_norm=None, progress=False)
