"""Flows of images: shapes, layouts, what does not fit, and convolutions against SciPy."""

import pickle

import numpy as np
import pytest

import cflows as cf

NET = cf.ConvNet((5,), (3, 1), activation="tanh")


def image_flow(dtype="float64", **options):
    return cf.Flow(
        [
            cf.Split([cf.Linear(), cf.Squeeze(), cf.ActNorm()], conditioner=NET),
            cf.Coupling("checkerboard", conditioner=NET),
            cf.Squeeze(),
            cf.Coupling("checkerboard", swap=True, conditioner=NET),
        ],
        shape=(1, 8, 4),
        dtype=dtype,
        seed=3,
        **options,
    )


def random_weights(flow, seed=0):
    rng = np.random.default_rng(seed)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape) * 0.3
    return flow


def test_shapes():
    flow = image_flow()
    assert flow.shape == (1, 8, 4)
    assert flow.base_shape == (32,)
    assert flow.features == 32
    assert [layer.shape for layer in flow.layers] == [(4, 4, 2), (4, 4, 2), (1, 8, 4), (1, 8, 4)]
    assert [layer.shape for layer in flow.layers[0].layers] == [
        (8, 2, 1),
        (2, 4, 2),
        (2, 4, 2),
        (4, 4, 2),
    ]
    x = flow.sample(5, seed=0)
    assert x.shape == (5, 1, 8, 4)
    u, log_det = flow.inverse(x)
    assert u.shape == (5, 32)
    assert log_det.shape == (5,)
    assert flow.grad_log_prob(x).shape == x.shape
    assert flow.vjp(x, u).x.shape == x.shape
    assert flow.vjp(u, x, direction="forward").x.shape == u.shape
    assert cf.jacobian(flow, x).shape == (5, 32, 32)


def test_shapes_with_context():
    flow = cf.Flow(
        [cf.Coupling("checkerboard", conditioner=NET)], shape=(2, 2, 2), context_features=3
    )
    assert flow.sample(4, np.zeros((6, 3))).shape == (6, 4, 2, 2, 2)
    assert flow.sample_and_log_prob(4, np.zeros((6, 3)))[1].shape == (6, 4)


def test_a_flow_of_vectors_has_a_shape():
    flow = cf.Flow([cf.Coupling()], features=3)
    assert flow.shape == flow.base_shape == (3,)
    assert cf.Flow([cf.Coupling()], shape=[3]).features == 3


def test_summary_shows_the_shapes():
    text = str(image_flow())
    assert "images of 1 x 8 x 4" in text
    assert "(n, 4, 4, 2)" in text


def test_any_layout_gives_the_same_bits():
    flow = random_weights(image_flow("float32"))
    x = flow.sample(33, seed=1)
    truth = flow.log_prob(x)
    channels_last = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    flipped = x[..., ::-1, ::-1].copy()[..., ::-1, ::-1]
    transposed = x.swapaxes(2, 3).copy().swapaxes(2, 3)
    every_other = np.zeros((33, 2, 16, 8), np.float32)[:, ::2, ::2, ::2]
    every_other[...] = x
    for layout in (channels_last, flipped, transposed, every_other, x.astype(">f4"), x[..., :]):
        assert np.array_equal(flow.log_prob(layout), truth)
    integers = np.arange(33 * 32, dtype=np.uint8).reshape(33, 1, 8, 4)
    assert np.array_equal(flow.log_prob(integers), flow.log_prob(integers.astype(np.float64)))


def test_squeeze_is_what_the_documentation_says():
    x = np.random.default_rng(0).normal(size=(3, 2, 6, 9))
    flow = cf.Flow([cf.Squeeze(3)], shape=(2, 6, 9), dtype="float64")
    u, log_det = flow.inverse(x)
    truth = np.empty((3, 18, 2, 3))
    for c, a, b in np.ndindex(2, 3, 3):
        truth[:, 9 * c + 3 * a + b] = x[:, c, a::3, b::3]
    assert np.array_equal(u, truth)
    assert not np.any(log_det)


def test_haar_wavelets():
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 6))
    u, _ = cf.Flow([cf.Squeeze(form="haar")], shape=(2, 4, 6), dtype="float64").inverse(x)
    a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
    c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
    parts = (a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d)
    truth = np.stack(parts, axis=2).reshape(3, 8, 2, 3) / 2
    np.testing.assert_allclose(u, truth, rtol=0, atol=1e-14)


def test_the_checkerboard_of_a_permutation():
    flow = cf.Flow([cf.Permutation("checkerboard")], shape=(2, 3, 4))
    u = np.arange(24.0).reshape(1, 2, 3, 4)
    board = np.indices((3, 4)).sum(axis=0) % 2
    order = np.argsort(board.ravel(), kind="stable")
    truth = u.reshape(1, 2, 12)[:, :, order].reshape(u.shape)
    assert np.array_equal(flow.forward(u)[0], truth)
    assert flow.layers[0].sign == round(np.linalg.det(np.eye(24)[flow.layers[0].indices]))


@pytest.mark.parametrize("shape", [(3, 1, 3), (3, 2, 1), (3, 3, 3)])
def test_the_sign_of_a_permutation_of_channels(shape):
    flow = cf.Flow([cf.Permutation([1, 0, 2])], shape=shape)
    truth = np.linalg.det(cf.jacobian(flow, np.zeros((1, *shape)), direction="forward")[0])
    assert flow.layers[0].sign == round(float(truth))


@pytest.mark.parametrize("kernels", [(1, 1), (3, 1), (5, 3)])
def test_the_network_is_a_correlation(kernels):
    signal = pytest.importorskip("scipy.signal")
    net = cf.ConvNet((3,), kernels, activation="tanh")
    flow = cf.Flow(
        [cf.Coupling("half", transform="additive", conditioner=net)],
        shape=(4, 5, 6),
        dtype="float64",
    )
    random_weights(flow)
    u = np.random.default_rng(1).normal(size=(2, 4, 5, 6))

    def conv(x, name):
        weight = flow.parameters[f"layers.0.conditioner.{name}.weight"]
        bias = flow.parameters[f"layers.0.conditioner.{name}.bias"]
        return np.stack(
            [
                sum(signal.correlate2d(x[c], w[c], mode="same") for c in range(len(x))) + b
                for w, b in zip(weight, bias, strict=True)
            ]
        )

    truth = u.copy()
    for row in truth:
        row[2:] += conv(np.tanh(conv(row[:2], "conv0")), "conv1")
    np.testing.assert_allclose(flow.forward(u)[0], truth, rtol=0, atol=1e-13)


@pytest.mark.parametrize("channels", [4, 40])  # by the definition, and by minimal filtering
def test_convolutions_in_float32(channels):
    """Rounded once a product at most, and not in a way that grows with the image."""
    net = cf.ConvNet((), 3)
    coupling = cf.Coupling("half", transform="additive", conditioner=net)
    flow = random_weights(cf.Flow([coupling], shape=(2 * channels, 9, 7), dtype="float64"))
    u = np.random.default_rng(1).normal(size=(20, 2 * channels, 9, 7)).astype(np.float32)
    u[:, channels:] = 0
    flow = flow.astype("float32").astype("float64")
    truth = flow.forward(u)[0]
    weight = np.abs(flow.parameters["layers.0.conditioner.conv0.weight"]).sum(axis=(1, 2, 3)).max()
    bound = np.finfo(np.float32).eps * weight * np.abs(u).max()
    error = np.abs(flow.astype("float32").forward(u)[0] - truth)
    assert 0 < error.max() < bound


def test_weight_normalisation():
    """Only directions count: a longer v is the same network."""
    net = cf.ConvResidualNet(3, 1, normalization="weight")
    flow = random_weights(
        cf.Flow([cf.Coupling("half", conditioner=net)], shape=(2, 3, 3), dtype="float64")
    )
    x = np.random.default_rng(1).normal(size=(4, 2, 3, 3))
    before = flow.log_prob(x)
    for name, parameter in flow.parameters.items():
        if name.endswith("weight"):
            parameter *= 7.0
    np.testing.assert_allclose(flow.log_prob(x), before, rtol=1e-13)
    for parameter in flow.parameters.values():
        parameter *= 0.5
    assert np.abs(flow.log_prob(x) - before).max() > 1e-3


@pytest.mark.parametrize(("images", "rtol"), [(256, 1e-6), (2000, 0.1)])  # of many, 256
def test_actnorm_starts_from_the_channels(images, rtol):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, 3, 4, 2))
    x = x * [[[2.0]], [[0.5]], [[7.0]]] + [[[1.0]], [[-3.0]], [[9.0]]]
    flow = cf.Flow([cf.ActNorm()], shape=(3, 4, 2), dtype="float64")
    flow.fit(x, validation=None, epochs=1, optimizer=cf.Adam(1e-12), seed=0)
    shift, log_scale = (flow.parameters[f"layers.0.{name}"] for name in ("shift", "log_scale"))
    np.testing.assert_allclose(shift, x.mean(axis=(0, 2, 3)), rtol=rtol)
    np.testing.assert_allclose(np.exp(log_scale), x.std(axis=(0, 2, 3)), rtol=rtol)


def test_fit_saves_and_loads(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 1, 8, 4)) * 3 + 1
    flow = image_flow("float32")
    before = -flow.log_prob(x).mean()
    history = flow.fit(x, validation=0.2, epochs=3, seed=0)
    assert history.validation[-1] < before
    flow.save(tmp_path / "flow.safetensors")
    for again in (cf.load(tmp_path / "flow.safetensors"), pickle.loads(pickle.dumps(flow))):
        assert again.shape == flow.shape
        assert np.array_equal(again.log_prob(x), flow.log_prob(x))
        assert np.array_equal(again.sample(3, seed=0), flow.sample(3, seed=0))
    assert flow.astype("float64").shape == flow.shape


def test_splits_factor_out_in_order():
    """z of the first split, then z of the second, then what goes on."""
    inner = cf.Split([cf.Affine(scale=5.0)])
    flow = cf.Flow([cf.Split([inner, cf.Affine(scale=0.5)], swap=True)], features=8)
    x = np.arange(8.0)[None]
    u, log_det = flow.inverse(x)
    assert np.allclose(u, [[0, 1, 2, 3, 2 * 6, 2 * 7, 2 * 4 / 5, 2 * 5 / 5]])
    assert np.allclose(log_det, 4 * np.log(2) - 2 * np.log(5))


def nested(inner, **options):
    split = [cf.Split(inner, [True, False, True, True] * 2, conditioner=NET)]
    return cf.Flow([cf.Split([*split, cf.Squeeze()], swap=True), cf.Squeeze()], **options)


def test_levels():
    flow = nested([cf.ActNorm()], shape=(1, 8, 4), dtype="float64", seed=0)
    flow_with_empty = nested([], shape=(1, 8, 4), dtype="float64", seed=0)
    u = np.arange(64.0).reshape(2, 32)
    for f in (flow, flow_with_empty):
        levels = f.levels(u)
        assert [level.shape for level in levels] == [(2, 2, 4, 2), (2, 2, 2, 1), (2, 6, 2, 1)]
        assert np.array_equal(np.concatenate([x.reshape(2, -1) for x in levels], axis=1), u)
        assert np.array_equal(f.join_levels(levels), u)
    # The first level is the half of the squeezed channels that the outer split factors out.
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 4))
    squeezed, _ = cf.Flow([cf.Squeeze()], shape=(1, 8, 4), dtype="float64").inverse(x)
    assert np.array_equal(flow.levels(flow.inverse(x)[0])[0], squeezed[:, :2])


def test_levels_of_vectors_and_of_flows_without():
    flow = cf.Flow([cf.Split([cf.Split([], "alternating")], [1, 4, 2])], features=5)
    assert [x.shape for x in flow.levels(np.zeros((3, 5)))] == [(3, 2), (3, 1), (3, 2)]
    assert [x.shape for x in flow.levels(np.zeros((0, 5)))] == [(0, 2), (0, 1), (0, 2)]
    plain = cf.Flow([cf.Squeeze()], shape=(1, 2, 2))
    assert [x.shape for x in plain.levels(np.zeros((3, 4, 1, 1)))] == [(3, 4, 1, 1)]
    assert plain.join_levels([np.zeros((3, 4, 1, 1))]).shape == (3, 4, 1, 1)
    with pytest.raises(ValueError, match=r"u must have shape \(n, 5\), got \(3, 4\)"):
        flow.levels(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="levels must have the shapes"):
        flow.join_levels([np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 1))])
    with pytest.raises(ValueError, match="levels must have the shapes"):
        flow.join_levels([])


def test_a_conditional_split_is_a_gaussian():
    """With the rest fixed, log_prob is that of a normal whose parameters the network gives."""
    stats = pytest.importorskip("scipy.stats")
    flow = random_weights(
        cf.Flow([cf.Split([], conditioner=cf.MLP((4,)), scale="exp")], features=2, dtype="float64")
    )
    h, z = 0.7, np.linspace(-3, 3, 7)
    weights = {name.split("conditioner.")[1]: a for name, a in flow.parameters.items()}
    hidden = np.maximum(weights["linear0.weight"] @ [h] + weights["linear0.bias"], 0)
    log_scale, mean = weights["linear1.weight"] @ hidden + weights["linear1.bias"]
    x = np.column_stack([np.full(7, h), z])
    truth = stats.norm.logpdf(h) + stats.norm.logpdf(z, mean, np.exp(log_scale))
    np.testing.assert_allclose(flow.log_prob(x), truth, rtol=1e-12)


MIXTURE = cf.MixtureLogistic(3, minimum_scale=0.1)


@pytest.mark.parametrize(
    ("recipe", "options", "levels"),
    [
        (cf.glow, {"levels": 1, "steps": 2}, 1),
        (cf.glow, {"levels": 2, "steps": 1, "context_features": 2}, 2),
        (cf.glow, {"levels": 2, "steps": 1, "transform": MIXTURE, "scale": "tanh"}, 2),
        (cf.realnvp_image, {"levels": 1, "blocks": 0}, 1),
        (cf.realnvp_image, {"levels": 2, "blocks": 1, "transform": MIXTURE}, 2),
        (cf.realnvp_image, {"levels": 3, "blocks": 1, "scale": "tanh"}, 3),
    ],
)
def test_recipes(recipe, options, levels):
    flow = recipe((1, 8, 4), channels=3, dtype="float64", seed=1, **options)
    random_weights(flow)
    context = np.ones((4, 2)) if flow.context_features else None
    x = np.random.default_rng(2).normal(size=(4, 1, 8, 4))
    report = cf.audit(flow, x, context)
    assert report.round_trip < 1e-9
    assert report.log_det < 1e-9
    assert flow.log_prob(x, context).std() > 1e-2
    depth, layer = 1, flow.layers[0]
    while layer.type == "Split":
        depth, layer = depth + 1, layer.layers[0]
    assert depth == levels
    with pytest.raises(ValueError, match="multiples of 2"):
        recipe((1, 7, 4), levels=2)


def test_scales_go_with_affine_couplings():
    with pytest.raises(ValueError, match="scale goes with transform='affine'"):
        cf.realnvp_image((1, 4, 4), transform=MIXTURE, scale="tanh")


SHAPE = {"shape": (2, 4, 4)}


@pytest.mark.parametrize(
    ("layers", "size", "message"),
    [
        ([cf.Squeeze()], {"features": 4}, "Squeeze: it is of images"),
        ([cf.Squeeze(3)], SHAPE, "multiples of 3, got 4 x 4"),
        ([cf.Inverse(cf.Squeeze())], SHAPE, "channels must be a multiple of 4, got 2"),
        ([cf.Coupling("checkerboard")], {"features": 4}, "a checkerboard is of an image"),
        ([cf.Permutation("checkerboard")], {"features": 4}, "a checkerboard is of an image"),
        ([cf.Coupling([2])], SHAPE, "mask index 2 is not from 0 to 1: the flow has 2 channels"),
        ([cf.Coupling([True] * 3)], SHAPE, "3 entries, the image has 2 channels, 32 features"),
        ([cf.Permutation([0, 1, 2])], SHAPE, "must be 2, as many as there are channels, got 3"),
        (
            [cf.Linear(permutation=list(range(32)))],
            SHAPE,
            "must be 2, as many as there are channels, got 32",
        ),
        ([cf.Coupling(conditioner=NET)], {"features": 4}, "ConvNet reads images"),
        ([cf.Coupling(conditioner=NET)], {"shape": (1, 4, 4)}, "no channel is kept"),
        ([cf.Elementwise(conditioner=NET)], SHAPE, "no channel is kept"),
        ([cf.Autoregressive(conditioner=NET)], SHAPE, "cannot be masked"),
        ([cf.Split([])], {"features": 1}, "the mask keeps 0 of 1 features"),
        ([cf.Split([], [0, 1])], SHAPE, "the mask keeps 2 of 2 channels"),
        ([cf.Split([], [True] * 5 + [False] * 27)], SHAPE, "must keep whole channels"),
        ([cf.Inverse(cf.Split([]))], SHAPE, "its u is a vector"),
        ([], {"shape": (2, 0, 4)}, "got 2 x 0 x 4"),
        ([], {"shape": (2**13, 2**13, 2**13)}, "a shape must have"),
    ],
)
def test_what_does_not_fit(layers, size, message):
    with pytest.raises(ValueError, match=message):
        cf.Flow(layers, **size)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({}, "got neither"),
        ({"features": 2, "shape": (1, 2, 2)}, "got both"),
        ({"shape": (2, 2)}, r"\(channels, height, width\), got \(2, 2\)"),
        ({"shape": 4}, "got 4"),
        ({"shape": (1, 2, 2.5)}, "shape"),
    ],
)
def test_a_flow_needs_one_size(size, message):
    with pytest.raises(TypeError, match=message):
        cf.Flow([], **size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": 2}, "kernels must be odd"),
        ({"kernels": (3, 3)}, "one number or 3"),
        ({"channels": (0,)}, "channels must be from 1"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_bad_networks(options, message):
    with pytest.raises(ValueError, match=message):
        cf.ConvNet(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 4}, "kernel must be odd"),
        ({"outer_kernel": -1}, "outer_kernel must be odd"),
        ({"blocks": -1}, "blocks must be from 0"),
        ({"channels": 0}, "channels must be from 1"),
        ({"normalization": "batch"}, "normalization"),
    ],
)
def test_bad_residual_networks(options, message):
    with pytest.raises(ValueError, match=message):
        cf.ConvResidualNet(**options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 32)), r"x must have shape \(n, 1, 8, 4\), got \(3, 32\)"),
        (np.zeros((1, 8, 4)), r"one image is x\[None\]"),
        (np.zeros((5, 8, 4)), r"images of one channel are x\[:, None\]"),
        (np.zeros((3, 1, 4, 8)), r"got \(3, 1, 4, 8\)"),
    ],
)
def test_arrays_that_do_not_fit(x, message):
    flow = image_flow()
    with pytest.raises(ValueError, match=message):
        flow.log_prob(x)
    with pytest.raises(ValueError, match=r"x must have shape \(n, 1, 8, 4\)"):
        flow.fit(x, epochs=1)
