"""The flow as users have it: what calls take, give and leave behind."""

import collections.abc
import copy
import gc
import inspect
import os
import pickle
import pickletools
import subprocess
import sys
import types
import weakref

import numpy as np
import pytest

import cflows as cf


def make_flow(dtype="float64", context_features=2, **options):
    """A flow that moves every feature, with a permutation, buffers and a learned base."""
    flow = cf.Flow(
        [
            cf.Coupling("half", hidden=(6,), activation="tanh"),
            cf.Permutation("random"),
            cf.Inverse(cf.Coupling("half", swap=True, hidden=(5, 4), activation="silu")),
            cf.Affine(shift=[1.0, -2.0, 0.5], scale=[2.0, 0.5, -1.5]),
        ],
        features=3,
        context_features=context_features,
        base=cf.Normal(learned=True),
        dtype=dtype,
        **{"seed": 7, **options},
    )
    rng = np.random.default_rng(0)
    for array in flow.parameters.values():
        array[...] = rng.normal(size=array.shape) * 0.7
    return flow


@pytest.fixture(scope="module")
def flow():
    return make_flow()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(17, 3)) * 2


@pytest.fixture(scope="module")
def context():
    return np.random.default_rng(2).normal(size=(17, 2))


# ---- maps and density ----


def test_directions_are_inverse_and_log_prob_is_their_composition(flow, x, context):
    u, log_det = flow.inverse(x, context)
    back, forward_log_det = flow.forward(u, context)
    np.testing.assert_allclose(back, x, atol=1e-12)
    np.testing.assert_allclose(log_det, -forward_log_det, atol=1e-12)
    loc, log_scale = flow.parameters["base.loc"], flow.parameters["base.log_scale"]
    z = (u - loc) / np.exp(log_scale)
    base = (-0.5 * z**2 - log_scale - 0.5 * np.log(2 * np.pi)).sum(1)
    np.testing.assert_allclose(flow.log_prob(x, context), base + log_det, rtol=1e-13)


def test_layers_are_listed_from_base_to_data():
    flow = cf.Flow([cf.Affine(1.0), cf.Affine(0.0, 10.0)], 1, dtype="float64")
    value, log_det = flow.forward([[2.0]])
    assert value.item() == 30.0
    assert log_det.item() == pytest.approx(np.log(10.0))


def test_arguments_by_name(flow, x, context):
    np.testing.assert_array_equal(flow.log_prob(context=context, x=x), flow.log_prob(x, context))
    np.testing.assert_array_equal(
        flow.forward(u=x, context=context)[0], flow.forward(x, context)[0]
    )


def test_one_row_of_context_stands_for_all(flow, x, context):
    repeated = np.repeat(context[:1], len(x), axis=0)
    expected = flow.log_prob(x, repeated)
    for row in (context[0], context[:1], list(context[0])):
        np.testing.assert_array_equal(flow.log_prob(x, row), expected)
        np.testing.assert_array_equal(flow.inverse(x, row)[0], flow.inverse(x, repeated)[0])


def test_nan_spoils_its_own_row_alone(flow, x, context):
    expected, bad = flow.log_prob(x, context), x.copy()
    bad[3, 1], bad[5, 0], bad[8] = np.nan, np.inf, -np.inf
    log_prob, rest = flow.log_prob(bad, context), np.setdiff1d(np.arange(17), [3, 5, 8])
    assert np.isnan(log_prob[3])
    assert not np.isfinite(log_prob[[3, 5, 8]]).any()
    np.testing.assert_array_equal(log_prob[rest], expected[rest])


# ---- sampling ----


def test_samples_have_the_density_that_is_told(flow, context):
    x, log_prob = flow.sample_and_log_prob(9, context, seed=1)
    assert x.shape == (17, 9, 3) and log_prob.shape == (17, 9)
    np.testing.assert_array_equal(x, flow.sample(9, context, seed=1))
    for j in range(17):
        np.testing.assert_allclose(log_prob[j], flow.log_prob(x[j], context[j]), rtol=1e-11)


def test_sample_shapes(flow, context):
    plain = make_flow(context_features=0)
    assert plain.sample(5).shape == (5, 3)
    assert flow.sample(5, context[0]).shape == (5, 3)
    assert flow.sample(5, context[:1]).shape == (5, 3)
    assert flow.sample(5, context[:2]).shape == (2, 5, 3)
    assert flow.sample(1, context).shape == (17, 1, 3)


def test_samples_are_numbered_and_chunks_join_up(flow, context):
    whole = flow.sample(100, context[0], seed=5)
    chunks = [flow.sample(n, context[0], seed=5, start=k) for n, k in ((37, 0), (1, 37), (62, 38))]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    by_context = flow.sample(10, context, seed=5, start=3)
    for j in range(17):
        np.testing.assert_array_equal(
            by_context[j], flow.sample(10, context[j], seed=5, start=3 + 10 * j)
        )
    far = flow.sample(2, context[0], seed=2**64 - 1, start=2**63 - 1)
    assert np.isfinite(far).all()


def test_seeds(flow, context):
    a, b = flow.sample(4, context[0], seed=1), flow.sample(4, context[0], seed=2)
    assert (a != b).all()
    assert (flow.sample(4, context[0]) != flow.sample(4, context[0])).all()
    np.testing.assert_array_equal(flow.sample(4, context[0], seed=np.int32(1)), a)


def test_starting_weights_are_the_seeds():
    a, b, c = (cf.realnvp(4, layers=2, permute="random", seed=seed) for seed in (1, 1, 2))
    name = "layers.0.conditioner.linear0.weight"
    np.testing.assert_array_equal(a.parameters[name], b.parameters[name])
    assert (a.parameters[name] != c.parameters[name]).all()
    assert a.seed == 1
    drawn = [cf.Flow([], 1).seed for _ in range(20)]
    assert len(set(drawn)) == 20 and all(0 <= seed < 2**63 for seed in drawn)
    again = cf.realnvp(4, layers=2, permute="random", seed=cf.realnvp(4).seed)
    assert isinstance(again.seed, int)


# ---- gradients ----


def test_score_is_the_vjp_of_the_log_density(flow, x, context):
    score, log_prob = flow.grad_log_prob(x, context, return_log_prob=True)
    np.testing.assert_array_equal(score, flow.grad_log_prob(x, context))
    np.testing.assert_array_equal(log_prob, flow.log_prob(x, context))
    u, _ = flow.inverse(x, context)
    du = -(u - flow.parameters["base.loc"]) * np.exp(-2 * flow.parameters["base.log_scale"])
    np.testing.assert_allclose(score, flow.vjp(x, du, np.ones(17), context).x, rtol=1e-10)


@pytest.mark.parametrize("direction", ["inverse", "forward"])
def test_vjp_adds_up(flow, x, context, direction):
    rng = np.random.default_rng(3)
    du, dlog_det = rng.normal(size=(17, 3)), rng.normal(size=17)
    both = flow.vjp(x, du, dlog_det, context, direction)
    parts = [
        flow.vjp(x, du=du, context=context, direction=direction),
        flow.vjp(x, dlog_det=dlog_det, context=context, direction=direction),
    ]
    np.testing.assert_allclose(both.x, parts[0].x + parts[1].x, atol=1e-12)
    np.testing.assert_allclose(both.context, parts[0].context + parts[1].context, atol=1e-12)
    for name, array in both.parameters.items():
        summed = parts[0].parameters[name] + parts[1].parameters[name]
        np.testing.assert_allclose(array, summed, atol=1e-11)


def test_vjp_is_a_named_tuple_of_the_callers_own(flow, x, context):
    cotangents = flow.vjp(x, x, context=context)
    assert isinstance(cotangents, cf.Cotangents) and cotangents._fields == (
        "x",
        "context",
        "parameters",
    )
    by_x, by_context, by_parameters = cotangents
    assert by_x.shape == (17, 3) and by_context.shape == (17, 2)
    assert list(by_parameters) == list(flow.parameters)
    for name, array in by_parameters.items():
        assert array.shape == flow.parameters[name].shape and array.dtype == flow.dtype
        assert not np.shares_memory(array, flow.gradients[name])
    kept = {name: array.copy() for name, array in by_parameters.items()}
    flow.vjp(-x, x, context=context)
    for name, array in by_parameters.items():
        np.testing.assert_array_equal(array, kept[name])
    assert pickle.loads(pickle.dumps(cotangents)).x.shape == (17, 3)


def test_vjp_without_parameters_or_context(flow, x, context):
    assert flow.vjp(x, x, context=context, parameters=False).parameters is None
    np.testing.assert_array_equal(
        flow.vjp(x, x, context=context, parameters=False).x, flow.vjp(x, x, context=context).x
    )
    assert make_flow(context_features=0).vjp(x, x).context is None


def test_cotangent_of_a_context_has_its_shape(flow, x, context):
    row = context[0]
    each = flow.vjp(x, x, context=np.repeat(row[None], 17, axis=0)).context
    for given in (row, row[None]):
        got = flow.vjp(x, x, context=given).context
        assert got.shape == given.shape and got.dtype == flow.dtype
        np.testing.assert_allclose(got.ravel(), each.sum(0), rtol=1e-12)
    assert flow.vjp(x[:1], x[:1], context=row).context.shape == (2,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loss_is_the_weighted_mean_summed_in_float64(dtype, x, context):
    flow = make_flow(dtype)
    weights = np.random.default_rng(4).uniform(size=17)
    weights[4] = 0.0
    log_prob = flow.log_prob(x, context).astype(np.float64)
    loss, gradients = flow.loss_and_grad(x, context)
    assert type(loss) is float
    assert loss == pytest.approx(-log_prob.mean(), rel=1e-14)
    weighted, _ = flow.loss_and_grad(x, context, weights=weights)
    assert weighted == pytest.approx(-(weights @ log_prob) / weights.sum(), rel=1e-14)
    scaled, _ = flow.loss_and_grad(x, context, weights=weights * 1000)
    assert scaled == pytest.approx(weighted, rel=1e-14)
    assert list(gradients) == list(flow.parameters)


def test_loss_leaves_its_gradients_with_the_flow(flow, x, context):
    _, first = flow.loss_and_grad(x, context)
    for name, array in first.items():
        np.testing.assert_array_equal(flow.gradients[name], array)
        assert not np.shares_memory(flow.gradients[name], array)
    before = {name: array.copy() for name, array in first.items()}
    flow.loss_and_grad(x + 1, context)
    assert (flow.gradients["base.loc"] != before["base.loc"]).any()
    for name, array in first.items():
        np.testing.assert_array_equal(array, before[name])


def test_loss_of_repeated_rows_is_that_of_weights(flow, x, context):
    repeats = np.arange(17) % 3
    loss, gradients = flow.loss_and_grad(x, context, weights=repeats)
    rows = np.repeat(np.arange(17), repeats)
    repeated_loss, repeated = flow.loss_and_grad(x[rows], context[rows])
    assert loss == pytest.approx(repeated_loss, rel=1e-13)
    for name in gradients:
        np.testing.assert_allclose(gradients[name], repeated[name], atol=1e-12)


def test_a_flow_without_parameters_has_a_loss():
    loss, gradients = cf.Flow([cf.Permutation()], 2, dtype="float64").loss_and_grad([[1.0, 2.0]])
    assert loss == pytest.approx(2.5 + np.log(2 * np.pi))
    assert gradients == {}


# ---- parameters ----


def test_mappings_are_read_only_and_their_arrays_writable():
    flow = make_flow(context_features=0)
    for mapping in (flow.parameters, flow.gradients, flow.buffers):
        assert isinstance(mapping, types.MappingProxyType)
        assert isinstance(mapping, collections.abc.Mapping)
        with pytest.raises(TypeError):
            mapping["layers.0.conditioner.linear0.bias"] = np.zeros(6)
        assert all(array.flags.writeable for array in mapping.values())
    assert list(flow.parameters) == list(flow.gradients)
    assert flow.n_parameters == sum(array.size for array in flow.parameters.values())
    assert list(flow.buffers) == ["layers.3.shift_scale"]
    assert flow.buffers["layers.3.shift_scale"].dtype == np.float64


def test_writing_a_parameter_or_buffer_changes_the_flow(x):
    flow = make_flow(context_features=0)
    before = flow.inverse(x)[0]
    flow.parameters["layers.0.conditioner.linear1.bias"][...] += 0.5
    after = flow.inverse(x)[0]
    assert not np.array_equal(before, after)
    fixed = cf.Flow([cf.Affine()], 2)
    fixed.buffers["layers.0.shift_scale"][...] = [1, 2, 10, 20]
    np.testing.assert_array_equal(fixed.forward([[1.0, 1.0]])[0], [[11.0, 22.0]])


def test_a_view_with_another_shape_harms_nobody(x):
    flow = cf.realnvp(2, layers=1, hidden=(4,), seed=0)
    name = next(iter(flow.parameters))
    shape = flow.parameters[name].shape
    flow.parameters[name].shape = (-1,)
    again = pickle.loads(pickle.dumps(flow))
    assert again.parameters[name].shape == shape


def test_integers_of_any_size_where_numbers_are_wanted():
    assert cf.Affine(shift=10**20).options["shift"] == 1e20


def test_loss_of_a_row_without_density_and_weight():
    flow = cf.Flow([], 2)
    loss, _ = flow.loss_and_grad([[1e30, 0.0], [0.0, 0.0]], weights=[0.0, 1.0])
    assert loss == pytest.approx(np.log(2 * np.pi), rel=1e-6)


def test_views_keep_their_memory_alive():
    flow = make_flow(context_features=0)
    reference = weakref.ref(flow)
    views = {**flow.parameters, **flow.buffers}
    layer, base = flow.layers[1], flow.base
    expected = {name: view.copy() for name, view in views.items()}
    del flow
    gc.collect()
    assert reference() is None
    [make_flow(context_features=0) for _ in range(20)]
    for name, view in views.items():
        np.testing.assert_array_equal(view, expected[name])
    assert sorted(layer.indices) == [0, 1, 2] and base == cf.Normal(learned=True)


def test_freezing(x):
    flow = make_flow(context_features=0)
    names = [name for name in flow.parameters if name.startswith("layers.0.")]
    assert flow.freeze("layers.0.*") == len(names)
    assert flow.frozen == tuple(names)
    assert flow.freeze("base.loc") == 1
    _, gradients = flow.loss_and_grad(x)
    by_parameters = flow.vjp(x, x).parameters
    for name in flow.parameters:
        frozen = name in flow.frozen
        assert gradients[name].any() != frozen
        assert not (frozen and by_parameters[name].any())
    assert flow.unfreeze("*.weight") == 5
    assert flow.frozen == (
        "layers.0.conditioner.linear0.bias",
        "layers.0.conditioner.linear1.bias",
        "base.loc",
    )
    flow.unfreeze("*")
    assert flow.frozen == ()
    np.testing.assert_array_equal(
        flow.loss_and_grad(x)[1]["base.loc"],
        make_flow(context_features=0).loss_and_grad(x)[1]["base.loc"],
    )


# ---- attributes ----


def test_attributes():
    flow = make_flow("float32")
    assert (flow.features, flow.context_features, flow.seed) == (3, 2, 7)
    assert flow.dtype == np.float32 and isinstance(flow.dtype, np.dtype)
    assert flow.base == cf.Normal(learned=True)
    assert cf.Flow([], 2).base == cf.Normal()
    for name in ("features", "dtype", "parameters", "layers", "anything"):
        with pytest.raises(AttributeError):
            setattr(flow, name, 1)


def test_bound_layers():
    flow = make_flow()
    first, permutation, inverse, affine = flow.layers
    assert [layer.type for layer in flow.layers] == ["Coupling", "Permutation", "Inverse", "Affine"]
    assert first.spec == cf.Coupling("half", hidden=(6,), activation="tanh")
    assert first.options == first.spec.options
    assert (first.features, first.context_features, first.layers) == (3, 2, ())
    assert inverse.layers[0].spec == inverse.spec.layer
    assert repr(affine) == (
        "<Affine(shift=(1.0, -2.0, 0.5), scale=(2.0, 0.5, -1.5)): u (n, 3) -> x (n, 3)>"
    )
    assert permutation.spec == cf.Permutation(permutation.indices)
    assert not hasattr(first, "sign")
    with pytest.raises(TypeError, match="cannot create"):
        type(first)()


@pytest.mark.parametrize(
    ("indices", "expected", "sign"),
    [
        ("reverse", [3, 2, 1, 0], 1),
        ([1, 2, 3, 0], [1, 2, 3, 0], -1),
        ([0, 1, 2, 3], [0, 1, 2, 3], 1),
        ([1, 0, 3, 2], [1, 0, 3, 2], 1),
        ([0, 3, 1, 2], [0, 3, 1, 2], 1),
        ("random", None, None),
    ],
)
def test_permutations(indices, expected, sign):
    flow = cf.Flow([cf.Permutation(indices)], 4, seed=11)
    (layer,) = flow.layers
    expected = layer.indices if expected is None else expected
    assert layer.indices.tolist() == list(expected) and layer.indices.dtype == np.int64
    determinant = np.linalg.det(np.eye(4)[layer.indices])
    assert layer.sign == round(determinant) and sign in (None, layer.sign)
    u = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(flow.forward(u)[0], u[:, layer.indices])
    np.testing.assert_array_equal(flow.inverse(u[:, layer.indices])[0], u)


def test_repr_shows_the_chain():
    flow = cf.Flow(
        [cf.Coupling(hidden=(4,)), cf.Permutation(list(range(30))[::-1]), cf.Affine()],
        features=30,
        context_features=2,
        seed=0,
    )
    flow.freeze("*.bias")
    assert repr(flow) == str(flow)
    assert str(flow).splitlines() == [
        "Flow: u -> x | context, 30 features, 2 context features, float32, 222 parameters, "
        "34 of them frozen",
        "  base         u (n, 30)       Normal()",
        "  layers.0  ->   (n, 30)  222  Coupling(hidden=(4,))",
        "  layers.1  ->   (n, 30)       "
        "Permutation(indices=(29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, …)",
        "  layers.2  -> x (n, 30)       Affine()",
    ]
    assert "1 feature, float64, 0 parameters" in repr(cf.Flow([], 1, dtype="float64"))


def test_signatures():
    assert str(inspect.signature(cf.Flow)) == (
        "(layers, features=None, context_features=0, embedding=None, base=None, dtype='float32', "
        "seed=None, shape=None, standardize_context=True)"
    )
    signature = "(self, /, n, context=None, seed=None, start=0)"
    assert str(inspect.signature(cf.Flow.sample_and_log_prob)) == signature
    names = list(inspect.signature(cf.Flow.sample).parameters)
    assert names == ["self", "n", "context", "seed", "start", "as_frame"]


# ---- copies ----


def assert_same(a, b, x, context):
    assert type(a) is type(b) and repr(a) == repr(b)
    assert (a.seed, a.frozen, a.dtype) == (b.seed, b.frozen, b.dtype)
    for ours, theirs in ((a.parameters, b.parameters), (a.buffers, b.buffers)):
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
            assert not np.shares_memory(array, theirs[name])
    np.testing.assert_array_equal(a.log_prob(x, context), b.log_prob(x, context))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_and_pickles_are_the_same_flow(dtype, x, context):
    flow = make_flow(dtype)
    flow.freeze("layers.2.*")
    flow.buffers["layers.3.shift_scale"][0] = 3.25
    copies = [copy.copy(flow), copy.deepcopy(flow), flow.astype(dtype)]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copies.append(pickle.loads(pickle.dumps(flow, protocol)))
    for other in copies:
        assert_same(other, flow, x, context)
    before = flow.log_prob(x, context)
    for other in copies:
        other.parameters["base.loc"][...] += 1
    np.testing.assert_array_equal(flow.log_prob(x, context), before)


def test_pickles_hold_specs_and_arrays_only():
    opcodes = pickletools.genops(pickle.dumps(make_flow(), 2))
    called = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    assert {name for name in called if not name.startswith(("numpy", "_codecs"))} == {
        "cflows._core make_spec",
        "cflows.flow Flow",
    }


def test_astype_changes_the_dtype_alone(x, context):
    single = make_flow("float32")
    double = single.astype("float64")
    assert single.dtype == np.float32 and double.dtype == np.float64
    np.testing.assert_allclose(double.log_prob(x, context), single.log_prob(x, context), rtol=1e-4)
    for name, array in double.parameters.items():
        np.testing.assert_array_equal(array, single.parameters[name])
    for dtype in (np.float64, np.dtype("float64"), float, "d", "f8"):
        assert single.astype(dtype).dtype == np.float64


class Named(cf.Flow):
    """A subclass with arguments and attributes of its own."""

    def __init__(self, name, features):
        super().__init__([cf.Coupling(hidden=(3,))], features=features, seed=1)
        self.name = name


def test_subclasses_keep_their_attributes(x):
    flow = Named("moons", 3)
    copies = [copy.copy(flow), pickle.loads(pickle.dumps(flow)), flow.astype("float32")]
    for other in copies:
        assert type(other) is Named and other.name == "moons"
        np.testing.assert_array_equal(other.log_prob(x), flow.log_prob(x))
    flow.itself = flow
    reference = weakref.ref(flow)
    del flow
    gc.collect()
    assert reference() is None


# ---- recipes and checks ----


def test_realnvp_is_what_it_says():
    flow = cf.realnvp(
        5, layers=3, hidden=(7,), context_features=2, activation="elu", scale="tanh", seed=1
    )
    options = {"hidden": (7,), "activation": "elu", "scale": "tanh"}
    assert [layer.spec for layer in flow.layers] == [
        cf.Coupling("alternating", False, **options),
        cf.Coupling("alternating", True, **options),
        cf.Coupling("alternating", False, **options),
        cf.Affine(),
    ]
    assert (flow.features, flow.context_features, flow.dtype) == (5, 2, np.float32)
    bare = cf.realnvp(5, layers=1, standardize=False, dtype="float64")
    assert len(bare.layers) == 1 and bare.dtype == np.float64


@pytest.mark.parametrize("permute", [False, "reverse", "random"])
@pytest.mark.parametrize("features", [1, 2, 3, 4, 5, 6])
def test_realnvp_moves_every_feature(features, permute):
    """In two couplings every feature is transformed; chance may need more."""
    layers = 16 if permute == "random" else 2
    flow = cf.realnvp(features, layers=layers, permute=permute, standardize=False, seed=3)
    assert len(flow.layers) == (2 * layers - 1 if permute else layers)
    for array in flow.parameters.values():
        array[...] = np.random.default_rng(0).normal(size=array.shape)
    x = np.random.default_rng(1).normal(size=(4, features))
    u = flow.inverse(x)[0]
    assert not np.isclose(u[:, :, None], x[:, None, :], rtol=1e-6).any()


def test_realnvp_starts_as_the_identity(x):
    flow = cf.realnvp(3, permute=False, dtype="float64")
    np.testing.assert_array_equal(flow.inverse(x)[0], x)


@pytest.mark.parametrize("direction", ["inverse", "forward"])
def test_jacobian_against_differences(flow, x, context, direction):
    function, h = getattr(flow, direction), 1e-5
    ours = cf.jacobian(flow, x, context, direction)
    assert ours.shape == (17, 3, 3)
    for j, step in enumerate(np.eye(3) * h):
        difference = function(x + step, context)[0] - function(x - step, context)[0]
        np.testing.assert_allclose(ours[:, :, j], difference / (2 * h), atol=1e-7)
    assert cf.jacobian(flow, x[:0], context[:0]).shape == (0, 3, 3)


def test_audit_of_a_right_flow_and_of_a_bad_point(flow, x, context):
    report = cf.audit(flow, x, context)
    assert (report.rows, report.dtype) == (17, "float64")
    assert max(report.round_trip, report.log_det, report.log_det_sum) < 1e-11
    assert "17 rows in float64" in str(report)
    bad = cf.audit(flow, np.where(np.arange(17)[:, None] == 3, np.nan, x), context)
    assert np.isnan(bad.round_trip) and np.isnan(bad.log_det)
    assert cf.audit(flow, x[:0], context[:0]).rows == 0


def test_audit_finds_what_single_precision_loses():
    far = cf.Flow([cf.Affine(1e6, learned=True)], 1)
    assert cf.audit(far, [[0.1]]).round_trip > 1e-3
    assert cf.audit(far.astype("float64"), [[0.1]]).round_trip < 1e-9


# ---- the module ----


def test_number_of_threads():
    before = cf.get_num_threads()
    try:
        cf.set_num_threads(3)
        assert cf.get_num_threads() == 3
    finally:
        cf.set_num_threads(before)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_environment_sets_threads_and_instruction_set():
    code = "import cflows as cf; print(cf.get_num_threads(), cf.simd_level())"
    done = run_python(code, CFLOWS_NUM_THREADS="5", CFLOWS_SIMD="base")
    assert done.stdout.split() == ["5", "base"]
    assert cf.simd_level() in ("base", "avx2", "avx512")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CFLOWS_NUM_THREADS", "0"), ("CFLOWS_NUM_THREADS", "two"), ("CFLOWS_SIMD", "mmx")],
)
def test_wrong_environment_is_an_error_at_import(name, value):
    done = run_python("import cflows", **{name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ValueError: {name}")


def test_import_brings_nothing_heavy():
    code = "import sys, numpy; a = set(sys.modules); import cflows; print(*set(sys.modules) - a)"
    brought = {name.split(".")[0] for name in run_python(code).stdout.split()}
    assert not brought & {"matplotlib", "tqdm", "scipy", "json", "csv", "multiprocessing", "email"}
    assert "cflows.data" not in brought
