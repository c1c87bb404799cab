"""Variational autoencoders: likelihoods, the bound, what is exact, learning."""

import copy
import math
import pickle

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf

NET = cf.MLP((6,), activation="tanh")
LINEAR = cf.MLP(())


def constant(likelihood, params, features=3):
    """A Variational flow whose networks give constants: `params`, and mean 0.3 and log-scale
    0.2."""
    layer = cf.Variational(2, LINEAR, LINEAR, likelihood)
    flow = cf.Flow([layer], features=features, dtype="float64", seed=0)
    for parameter in flow.parameters.values():
        parameter[...] = 0.0
    flow.parameters["layers.0.decoder.linear0.bias"][...] = np.ravel(params)
    flow.parameters["layers.0.encoder.linear0.bias"][...] = [0.3, 0.3, 0.2, 0.2]
    return flow


def log_likelihood(flow, x, seed=0):
    """log p(x|z) of a flow of constants: log_det and log q(z|x), which is known."""
    z, log_det = flow.inverse(x, seed=seed)
    scale = math.exp(0.2 / (1 + 0.2 / math.log(1000)))
    return log_det + stats.norm(0.3, scale).logpdf(z).sum(axis=1)


def test_bernoulli():
    params = np.array([-2.0, 0.0, 30.0])
    flow = constant("bernoulli", params)
    x = np.array([[0, 0, 1], [1, 1, 1], [0, 1, 0]])
    truth = stats.bernoulli(special.expit(params)).logpmf(x)
    truth[2, 2] = -30.0 - math.exp(-30)  # SciPy rounds 1 - p away
    assert np.allclose(log_likelihood(flow, x), truth.sum(axis=1), rtol=1e-12)
    assert np.all(flow.log_prob([[0.5, 0, 0], [2, 0, 0], [-1, 0, 0]]) == -np.inf)
    draws = flow.sample(40000, seed=1)
    assert set(np.unique(draws)) == {0.0, 1.0}
    p = special.expit(params)
    assert np.all(np.abs(draws.mean(axis=0) - p) <= 5 * np.sqrt(p * (1 - p) / 40000))
    means, log_det = flow.forward(np.zeros((2, 2)), mean=True)
    assert np.allclose(means, p) and np.all(np.isnan(log_det))


def test_normal():
    mean, unconstrained_scale = np.array([-1.0, 0.0, 5.0]), np.array([-3.0, 0.5, 2.0])
    scale = np.exp(unconstrained_scale / (1 + np.abs(unconstrained_scale) / math.log(1000)))
    flow = constant("normal", [mean, unconstrained_scale])
    x = np.random.default_rng(0).normal(size=(20, 3)) * 4
    truth = stats.norm(mean, scale).logpdf(x).sum(axis=1)
    assert np.allclose(log_likelihood(flow, x), truth, rtol=1e-12)
    for column, m, s in zip(flow.sample(4000, seed=1).T, mean, scale, strict=True):
        assert stats.kstest(column, stats.norm(m, s).cdf).pvalue > 1e-3
    fixed = constant(cf.NormalLikelihood(0.7), mean)
    truth = stats.norm(mean, 0.7).logpdf(x).sum(axis=1)
    assert np.allclose(log_likelihood(fixed, x), truth, rtol=1e-12)
    for column, m in zip(fixed.sample(4000, seed=1).T, mean, strict=True):
        assert stats.kstest(column, stats.norm(m, 0.7).cdf).pvalue > 1e-3
    assert np.allclose(fixed.forward(np.ones((1, 2)), mean=True)[0], mean)


def test_categorical():
    params = np.random.default_rng(3).normal(size=(4, 3)) * 2 + [0, 1000, -1000]  # levels, features
    flow = constant(cf.CategoricalLikelihood(4), params)
    x = np.random.default_rng(0).integers(0, 4, size=(30, 3))
    truth = np.take_along_axis(special.log_softmax(params, axis=0), x, axis=0).sum(axis=1)
    assert np.allclose(log_likelihood(flow, x), truth, rtol=1e-11)
    assert np.all(flow.log_prob([[4, 0, 0], [0.5, 0, 0], [-1, 0, 0]]) == -np.inf)
    p, draws = special.softmax(params, axis=0), flow.sample(40000, seed=1)
    for feature in range(3):
        counts = np.bincount(draws[:, feature].astype(int), minlength=4)
        assert stats.chisquare(counts, 40000 * p[:, feature]).pvalue > 1e-3
    mean = flow.forward(np.zeros((1, 2)), mean=True)[0]
    assert np.allclose(mean, np.arange(4) @ p)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_discretised_logistic(levels):
    location, unconstrained_scale = np.array([-0.8, 0.1, 0.9]), np.array([-4.0, -1.0, 1.5])
    scale = np.exp(unconstrained_scale / (1 + np.abs(unconstrained_scale) / 7))
    flow = constant(cf.LogisticLikelihood(levels), [location, unconstrained_scale])
    x = np.arange(levels)[:, None] * np.ones(3, dtype=int)
    edges = 2 * np.arange(levels + 1)[:, None] / levels - 1
    below, above = (edges[:-1] - location) / scale, (edges[1:] - location) / scale
    below[0], above[-1] = -np.inf, np.inf
    left, right = special.expit(above) - special.expit(below), None
    right = special.expit(-below) - special.expit(-above)  # precise in the other tail
    truth = np.log(np.where(below > 0, right, left))
    assert np.allclose(np.exp(truth).sum(axis=0), 1.0, rtol=1e-12)
    assert np.allclose(log_likelihood(flow, x), truth.sum(axis=1), rtol=1e-7)
    assert np.all(flow.log_prob([[levels, 0, 0], [0.5, 0, 0], [-1, 0, 0]]) == -np.inf)
    draws = flow.sample(40000, seed=1)
    for feature in range(3):
        counts = np.bincount(draws[:, feature].astype(int), minlength=levels)
        expected = 40000 * np.exp(truth[:, feature])
        often = expected > 20
        rare = counts[~often].sum(), expected[~often].sum()
        found, wanted = np.append(counts[often], rare[0]), np.append(expected[often], rare[1])
        assert stats.chisquare(found[wanted > 0], wanted[wanted > 0]).pvalue > 1e-3
    mean = flow.forward(np.zeros((1, 2)), mean=True)[0]
    assert np.allclose(mean, np.clip((location + 1) / 2 * levels - 0.5, 0, levels - 1))


def linear_model(seed=0):
    """Weights with orthogonal columns, a shift and a noise: the posterior's features are
    independent, and all is known."""
    rng = np.random.default_rng(seed)
    weight = np.linalg.qr(rng.normal(size=(5, 2)))[0] * [2.0, 0.7]
    return weight, rng.normal(size=5), 0.6


def linear_vae(weight, shift, noise):
    """The VAE that is this model, its encoder the posterior itself."""
    vae = cf.VAE(
        LINEAR, LINEAR, 2, 5, likelihood=cf.NormalLikelihood(noise), dtype="float64", seed=0
    )
    squares = (weight**2).sum(axis=0)
    precision = 1 + squares / noise**2
    gain = (weight / noise**2 / precision).T
    params = -0.5 * np.log(precision)
    params = params / (1 - np.abs(params) / math.log(1000))  # the inverse of the soft clip
    parameters = vae.parameters
    parameters["layers.0.decoder.linear0.weight"][...] = weight
    parameters["layers.0.decoder.linear0.bias"][...] = shift
    parameters["layers.0.encoder.linear0.weight"][...] = np.vstack([gain, np.zeros((2, 5))])
    parameters["layers.0.encoder.linear0.bias"][...] = np.concatenate([-gain @ shift, params])
    return vae


def test_the_bound_is_exact_with_the_exact_posterior():
    weight, shift, noise = linear_model()
    vae = linear_vae(weight, shift, noise)
    x = np.random.default_rng(1).normal(size=(50, 5)) * 2
    truth = stats.multivariate_normal(shift, weight @ weight.T + noise**2 * np.eye(5)).logpdf(x)
    for seed in range(3):
        assert np.allclose(vae.log_prob(x, seed=seed), truth, rtol=1e-10)


def test_bounds_rise_towards_the_likelihood():
    weight, shift, noise = linear_model()
    vae = linear_vae(weight, shift, noise)
    vae.parameters["layers.0.encoder.linear0.bias"][...] += [0.15, -0.15, 0.3, 0.3]
    x = np.tile(np.random.default_rng(1).normal(size=(1, 5)), (4000, 1))
    covariance = weight @ weight.T + noise**2 * np.eye(5)
    truth = stats.multivariate_normal(shift, covariance).logpdf(x[0])
    previous = -np.inf
    for k in (1, 5, 25):
        bound = vae.importance_weighted_log_prob(x, k, seed=2)
        error = bound.std() / math.sqrt(len(bound))
        assert previous < bound.mean() < truth + 3 * error
        previous = bound.mean() + 3 * error
    ratio = np.exp(vae.log_prob(x, seed=9) - truth)
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))


def test_learning_reaches_the_entropy():
    weight, shift, noise = linear_model()
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 2)) @ weight.T + shift + noise * rng.normal(size=(2000, 5))
    vae = cf.VAE(LINEAR, LINEAR, 2, 5, likelihood="normal", seed=0)
    history = vae.fit(
        x, epochs=100, optimizer=cf.Adam(5e-3), kl_warmup=10, batch_size=100, seed=0, progress=False
    )
    covariance = weight @ weight.T + noise**2 * np.eye(5)
    truth = stats.multivariate_normal(shift, covariance).logpdf(x).mean()
    bound = vae.importance_weighted_log_prob(x, 20).mean()
    assert truth - 0.08 < bound < truth + 0.05  # 16 numbers fitted to 2000 rows
    assert history.train[-1] == pytest.approx(-truth, abs=0.1)
    assert not vae.buffers  # nothing of the warm-up stays


def test_the_prior_is_part_of_the_bound():
    layers = [cf.Coupling(conditioner=NET), cf.Permutation("reverse")]
    vae = cf.VAE(NET, NET, 3, 4, prior=layers, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for parameter in vae.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    x = rng.integers(0, 2, size=(10, 4))
    last = vae.part(-1)
    z, term = last.inverse(x, seed=3)
    assert np.allclose(vae.log_prob(x, seed=3), vae.prior.log_prob(z) + term, rtol=1e-12)
    assert np.array_equal(vae.encode(x, mean=False, seed=3), z)
    assert np.array_equal(vae.decode(z, mean=False, seed=3), last.forward(z, seed=3)[0])
    assert np.array_equal(vae.reconstruct(x), vae.decode(vae.encode(x)))
    assert vae.latents == 3 and vae.prior.features == 3
    # Samples are the prior's, decoded.
    latents = vae.prior.sample(7, seed=5)
    assert np.array_equal(vae.decode(latents, mean=False, seed=5), vae.sample(7, seed=5))


def test_a_flow_as_prior_brings_its_numbers():
    prior = cf.realnvp(2, layers=2, hidden=(5,), dtype="float64", seed=3)
    rng = np.random.default_rng(0)
    for parameter in prior.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    vae = cf.VAE(NET, NET, 2, 4, prior=prior, dtype="float64", seed=0)
    z = rng.normal(size=(10, 2))
    assert np.array_equal(vae.prior.log_prob(z), prior.log_prob(z))
    with pytest.raises(ValueError, match="the prior must have 3 features, got 2"):
        cf.VAE(NET, NET, 3, 4, prior=prior)
    with pytest.raises(ValueError, match="base goes with layers"):
        cf.VAE(NET, NET, 2, 4, prior=prior, base=cf.Laplace())


def one_step(kl_warmup):
    """How far one step of SGD moves each parameter."""
    vae = cf.VAE(NET, NET, 2, 4, prior=[cf.Coupling(conditioner=NET)], dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for parameter in vae.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    before = copy.deepcopy(dict(vae.parameters))
    x = np.random.default_rng(1).integers(0, 2, size=(16, 4))
    vae.fit(
        x,
        epochs=1,
        batch_size=16,
        optimizer=cf.SGD(0.1),
        clip_norm=None,
        kl_warmup=kl_warmup,
        seed=0,
        progress=False,
    )
    return {name: p - before[name] for name, p in vae.parameters.items()}


def test_warm_up_weighs_the_gradients_of_the_encoder():
    whole, half, quarter = one_step(0), one_step(1), one_step(3)
    for name, step in whole.items():
        if ".encoder." in name:
            regular = 2 * (step - half[name])
            assert np.linalg.norm(regular) > 1e-3
            assert np.allclose(quarter[name], step - 0.75 * regular, atol=1e-13)
        else:
            assert np.allclose(half[name], step, atol=1e-13)


def test_warm_up_resumes(tmp_path):
    x = np.random.default_rng(1).integers(0, 2, size=(60, 4))
    options = {"kl_warmup": 3, "batch_size": 20, "seed": 0, "progress": False}
    whole, halves = (cf.VAE(NET, NET, 2, 4, seed=0) for _ in range(2))
    whole.fit(x, epochs=4, **options)
    halves.fit(x, epochs=2, checkpoint=tmp_path / "half", **options)
    halves.fit(x, epochs=4, resume=tmp_path / "half", **options)
    for name, parameter in whole.parameters.items():
        assert np.array_equal(parameter, halves.parameters[name])
    with pytest.raises(ValueError, match="kl_warmup"):
        halves.fit(x, epochs=5, resume=tmp_path / "half", **{**options, "kl_warmup": 2})
    with pytest.raises(ValueError, match="kl_warmup is for a flow with a Variational layer"):
        cf.realnvp(4).fit(x, kl_warmup=1)


def test_a_vae_stays_one(tmp_path):
    shape = (1, 8, 8)
    vae = cf.VAE(cf.ConvEncoder((4, 8)), cf.ConvDecoder((8, 4)), 3, shape=shape, seed=0)
    vae.save(tmp_path / "vae")
    x = np.random.default_rng(1).integers(0, 2, size=(5, *shape))
    again = [cf.load(tmp_path / "vae"), pickle.loads(pickle.dumps(vae)), copy.copy(vae)]
    for other in again:
        assert type(other) is cf.VAE
        assert np.array_equal(other.reconstruct(x), vae.reconstruct(x))
    assert vae.reconstruct(x).shape == (5, *shape)
    assert vae.encode(x).shape == (5, 3)


def test_convolutional_networks():
    """The encoder of one level is a convolution of stride 2, by NumPy; the decoder its mirror."""
    encoder, decoder = (
        cf.ConvEncoder((3,), activation="identity"),
        cf.ConvDecoder((2,), activation="identity"),
    )
    vae = cf.VAE(encoder, decoder, 2, shape=(2, 4, 6), likelihood="normal", dtype="float64", seed=3)
    p = {name.removeprefix("layers.0."): array for name, array in vae.parameters.items()}
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 6))
    squeezed = x.reshape(3, 2, 2, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(3, 8, 2, 3)

    def convolved(images, weight, bias):
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("ncyxij,ocij->noyx", windows, weight) + bias[:, None, None]

    h = convolved(squeezed, p["encoder.conv0.weight"], p["encoder.conv0.bias"]).reshape(3, -1)
    params = h @ p["encoder.linear.weight"].T + p["encoder.linear.bias"]
    assert np.allclose(vae.encode(x), params[:, :2], rtol=1e-12)
    z = vae.encode(x)
    small = (z @ p["decoder.linear.weight"].T + p["decoder.linear.bias"]).reshape(3, 2, 2, 3)
    large = convolved(small, p["decoder.conv0.weight"], p["decoder.conv0.bias"])
    large = large.reshape(3, 4, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(3, 4, 4, 6)
    assert np.allclose(vae.decode(z), large[:, :2], rtol=1e-12)


def test_bad_options():
    with pytest.raises(ValueError, match="latents must be from 1 to 1048576, got 0"):
        cf.Variational(0, NET, NET)
    with pytest.raises(ValueError, match="ConvNet is from images to images, its encoder"):
        cf.Variational(2, cf.ConvNet(), NET)
    with pytest.raises(ValueError, match="ConvNet is from images to images, its decoder"):
        cf.Variational(2, NET, cf.ConvNet())
    with pytest.raises(ValueError, match="ConvEncoder reads images"):
        cf.VAE(cf.ConvEncoder(), NET, 2, 16)
    with pytest.raises(ValueError, match="ConvDecoder gives images"):
        cf.VAE(NET, cf.ConvDecoder(), 2, 16)
    with pytest.raises(ValueError, match="height and width must be even at each level, got 7 x 7"):
        cf.VAE(cf.ConvEncoder((4, 4, 4)), NET, 2, shape=(1, 28, 28))
    with pytest.raises(ValueError, match="it stands next to the data"):
        cf.Flow([cf.Inverse(cf.Variational(2, NET, NET))], features=2)
    with pytest.raises(ValueError, match="likelihood"):
        cf.Variational(2, NET, NET, "gamma")
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        cf.NormalLikelihood(0.0)
    for likelihood in (cf.CategoricalLikelihood, cf.LogisticLikelihood):
        with pytest.raises(ValueError, match="levels must be from 2 to"):
            likelihood(1)
