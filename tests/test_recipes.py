"""Recipes: what they are told is looked at whether or not it is used."""

import ast
import inspect
import re

import numpy as np
import pytest

import cflows as cf
from cflows.recipes import bends, images, shared, splines


def test_any_integers_are_taken():
    one = cf.realnvp(np.int64(3), layers=np.int8(2), context_features=np.uint8(1), seed=0)
    assert repr(one) == repr(cf.realnvp(3, layers=2, context_features=1, seed=0))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": 0}, ValueError, "layers must be 1 or more, got 0"),
        ({"layers": 2.0}, TypeError, "layers must be an int, got 2.0"),
        ({"layers": True}, TypeError, "layers must be an int"),
        ({"features": "3"}, TypeError, "features must be an int, got '3'"),
        ({"features": "3", "permute": "reverse"}, TypeError, "features must be an int, got '3'"),
        ({"features": 0}, ValueError, "features must be 1 or more"),
        ({"context_features": -1}, ValueError, "^context_features must be 0 or more, got -1"),
        ({"context_features": 1.5}, TypeError, "^context_features must be an int, got 1.5"),
        ({"permute": "foo"}, ValueError, "permute must be .*'reverse' or 'random', got 'foo'"),
        ({"permute": "foo", "layers": 1}, ValueError, "permute must be"),
        ({"permute": True}, ValueError, "permute must be"),
        ({"permute": None}, ValueError, "permute must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        cf.realnvp(**{"features": 2, **arguments})


@pytest.mark.parametrize("recipe", [cf.realnvp, cf.nsf, cf.ncsf, cf.glow])
def test_unknown_arguments_are_refused(recipe):
    size = (1, 4, 4) if recipe is cf.glow else 2
    with pytest.raises(TypeError, match=rf"^{recipe.__name__}\(\) .* argument 'colour'"):
        recipe(size, colour=1)
    with pytest.raises(TypeError, match=r"'context', which is an array; .* is context_features"):
        recipe(size, context=1)


RECIPES = [getattr(cf, name) for name in cf.recipes.__all__]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_docstrings_list_the_parameters_with_their_defaults(recipe):
    section = re.search(r"Parameters\n-+\n(.*?)\n\n", recipe.__doc__, re.DOTALL)[1]
    listed = dict(re.findall(r"^(\w+) : (.*)$", section, re.MULTILINE))
    parameters = inspect.signature(recipe).parameters
    assert list(listed) == list(parameters)
    for name, parameter in parameters.items():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        _, _, default = listed[name].partition(", default ")
        if default:
            assert ast.literal_eval(default) == parameter.default
        else:
            optional = listed[name].endswith(", optional")
            assert parameter.default in ((None, ()) if optional else (parameter.empty,))


@pytest.mark.parametrize(
    ("options", "builder"),
    [
        (shared.Options, shared.flow),
        (shared.ColumnOptions, shared.column_flow),
        (splines.SplineOptions, splines.spline_flow),
        (bends.BendOptions, bends.bend_flow),
        (images.ImageOptions, images.image_flow),
    ],
)
def test_type_checkers_know_the_same_options(options, builder):
    parameters = inspect.signature(builder).parameters.values()
    assert options.__optional_keys__ == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


DENSE = cf.DeepSigmoidal(6, layers=2, dense=True)
NEW = {
    "nice": lambda **o: cf.nice(**{"layers": 3, "hidden": (16,), **o}),
    "glow1d": lambda **o: cf.glow1d(**{"layers": 2, "hidden": (16,), **o}),
    "nsf": lambda **o: cf.nsf(**{"layers": 2, "hidden": 16, "bins": 5, **o}),
    "nsf-plain": lambda **o: cf.nsf(**{"layers": 2, "hidden": (16, 8), **o}),
    "maf": lambda **o: cf.maf(**{"layers": 2, "hidden": (16,), **o}),
    "iaf": lambda **o: cf.iaf(**{"layers": 2, "hidden": (16,), **o}),
    "nsf_ar": lambda **o: cf.nsf_ar(**{"layers": 2, "hidden": 16, **o}),
    "naf": lambda **o: cf.naf(**{"layers": 2, "hidden": (16,), **o}),
    "naf-dense": lambda **o: cf.naf(**{"layers": 2, "hidden": (16,), "transform": DENSE, **o}),
    "bnaf": lambda **o: cf.bnaf(**{"layers": 2, **o}),
    "residual": lambda **o: cf.residual(**{"layers": 3, "hidden": (16, 16), **o}),
    "planar": lambda **o: cf.planar(**{"layers": 16, "hidden": (8,), **o}),
    "planar-forward": lambda **o: cf.planar(
        **{"layers": 16, "hidden": (8,), "explicit": "forward", **o}
    ),
    "sylvester": lambda **o: cf.sylvester(**{"layers": 8, "hidden": (8,), **o}),
    "gaussianization": lambda **o: cf.gaussianization(**{"layers": 4, "hidden": (8,), **o}),
    "cnf": lambda **o: cf.cnf(**{"hidden": (16, 16), "solver": "rk4", "steps": 6, **o}),
}


# What small networks reach: on two interleaved half circles a normal is 0.9 nats above, on eight
# normals around a circle 1.4.
MOONS = {
    "nice": 0.5,
    "glow1d": 0.55,
    "nsf": 0.2,
    "nsf-plain": 0.3,
    "maf": 0.65,
    "iaf": 0.65,
    "nsf_ar": 0.2,
    "naf": 0.25,
    "naf-dense": 0.25,
    "bnaf": 0.5,
    "residual": 0.45,
    "planar": 0.35,
    "planar-forward": 0.35,
    "sylvester": 0.6,
    "gaussianization": 0.5,
    "cnf": 0.2,
}
EIGHT_GAUSSIANS = {
    "naf": 0.25,
    "naf-dense": 0.25,
    "bnaf": 0.75,
    "residual": 0.45,
    "planar": 0.2,
    "planar-forward": 0.35,
    "sylvester": 0.4,
    "gaussianization": 0.2,
    "cnf": 0.5,
}
NATS_ABOVE = [
    *(("moons", recipe, nats) for recipe, nats in MOONS.items()),
    *(("eight_gaussians", recipe, nats) for recipe, nats in EIGHT_GAUSSIANS.items()),
]


@pytest.mark.parametrize("recipe", NEW)
@pytest.mark.parametrize(("features", "context_features"), [(1, 0), (1, 2), (2, 0), (5, 3)])
def test_recipes_are_bijections_with_their_log_det(recipe, features, context_features):
    exact = {"solver": "dopri5", "steps": None, "rtol": 1e-12, "atol": 1e-12}
    flow = NEW[recipe](
        features=features,
        context_features=context_features,
        dtype="float64",
        seed=0,
        **(exact if recipe == "cnf" else {}),
    )
    rng = np.random.default_rng(1)
    for name, value in flow.parameters.items():
        if name not in flow.frozen:
            value += 0.2 * rng.normal(size=value.shape)
    x = rng.normal(size=(4, features))
    c = rng.normal(size=(4, context_features)) if context_features else None
    u, log_det = flow.inverse(x, c)
    back, forward_log_det = flow.forward(u, c)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(forward_log_det, -log_det, atol=1e-9)
    matrices = cf.jacobian(flow, x, c)
    np.testing.assert_allclose(np.linalg.slogdet(matrices)[1], log_det, atol=1e-6)


@pytest.mark.parametrize(("toy", "recipe", "nats"), NATS_ABOVE)
def test_recipes_come_near_the_entropy_of_toys(toy, recipe, nats):
    truth = cf.data.toy(toy)
    x = truth.sample(3000, seed=0)
    flow = NEW[recipe](features=2, seed=0, **({"layers": 6} if recipe == "nice" else {}))
    history = flow.fit(
        x,
        validation=0.25,
        epochs=40,
        batch_size=128,
        optimizer=cf.Adam(5e-3),
        seed=0,
        progress=False,
    )
    entropy = -truth.log_prob(truth.sample(100_000, seed=1)).mean()
    assert entropy < min(history.validation) + 0.1  # 750 rows: a standard error of 0.03
    assert min(history.validation) < entropy + nats


@pytest.mark.parametrize(
    "recipe", ["nice", "maf", "iaf", "residual", "planar", "planar-forward", "sylvester", "cnf"]
)
def test_recipes_that_start_as_the_identity(recipe):
    flow = NEW[recipe](features=3, dtype="float64", standardize=False, seed=0)
    x = np.random.default_rng(0).normal(size=(20, 3))
    u, log_det = flow.inverse(x)
    rounding = {"maf": {"rtol": 1e-4}, "planar": {"atol": 1e-15}, "planar-forward": {"atol": 1e-15}}
    np.testing.assert_allclose(u, x, **rounding.get(recipe, {"rtol": 1e-14}))
    np.testing.assert_allclose(log_det, 0.0, atol=1e-4)  # BatchNorm's epsilon


# The largest part of a nat on rows of a standard normal, of the recipes at their own sizes.
NEAR = {"naf": 0.35, "gaussianization": 0.05}


@pytest.mark.parametrize("recipe", NEAR)
def test_recipes_that_start_near_the_base(recipe):
    flow = getattr(cf, recipe)(2, dtype="float64", standardize=False, seed=0)
    x = np.random.default_rng(0).normal(size=(5000, 2))
    normal = cf.Flow([], 2, dtype="float64").log_prob(x)
    assert abs((normal - flow.log_prob(x)).mean()) < NEAR[recipe]


def test_networks_of_blocks_start_at_the_data_by_the_first_fit():
    """At a learning rate of nearly 0: what the norms found is what is left."""
    x = np.random.default_rng(0).normal(size=(2000, 2)) * [3.0, 0.1] + [5.0, -1.0]
    flow = cf.bnaf(2, seed=0)
    flow.fit(x, epochs=1, optimizer=cf.Adam(1e-9), seed=0, validation=None, progress=False)
    normal = cf.Flow([cf.Affine()], 2)
    normal.fit(x, epochs=1, seed=0, validation=None, progress=False)
    assert normal.log_prob(x).mean() - flow.log_prob(x).mean() < 0.7


def test_what_neural_recipes_pass_on():
    layers = cf.naf(3, layers=2, transform=cf.MonotoneNetwork(4), activation="tanh").layers
    assert [layer.options["order"] for layer in layers[:2]] == [(0, 1, 2), (2, 1, 0)]
    assert layers[0].options["transform"] == cf.MonotoneNetwork(4)
    assert cf.bnaf(3, hidden=(4,), residual="normal").layers[0].spec == cf.BlockNeural(
        (4,), "normal"
    )
    block = cf.residual(3, hidden=(8,), activation="elu", coefficient=0.9, log_det="exact")
    assert block.layers[1].spec == cf.Residual((8,), "elu", coefficient=0.9, log_det="exact")
    bend = cf.Planar("leaky_relu", hidden=(8,), activation="tanh")
    options = {"hidden": (8,), "activation": "tanh"}
    assert cf.planar(3, h="leaky_relu", **options).layers[0].spec == cf.Inverse(bend)
    assert cf.planar(3, h="leaky_relu", explicit="forward", **options).layers[0].spec == bend
    bends = cf.Sylvester(2, 1, hidden=(8,), activation="tanh")
    assert cf.sylvester(3, directions=2, reflections=1, **options).layers[0].spec == cf.Inverse(
        bends
    )
    mixture = cf.gaussianization(3, components=5).layers[0].options["transform"]
    assert mixture.options["components"] == 5
    assert cf.gaussianization(3, components=1).layers[0].options["transform"] == cf.MixtureNormal(1)
    solved = {"solver": "tsit5", "steps": 99, "rtol": 1e-3, "atol": 1e-4, "probes": 2}
    (first, second, _) = cf.cnf(2, 2, (8,), activation="tanh", **solved).layers
    assert first.spec == second.spec == cf.Continuous(cf.MLP((8,), "tanh"), **solved)


def test_what_recipes_pass_on():
    assert not any(layer.type == "BatchNorm" for layer in cf.maf(3, batch_norm=False).layers)
    orders = [layer.options["order"] for layer in cf.maf(3, batch_norm=False).layers[:3]]
    assert orders == [(0, 1, 2), (2, 1, 0), (0, 1, 2)]
    flow = cf.nsf(4, dropout=0.1, bins=6, bound=2.0, blocks=1, hidden=20)
    options = flow.layers[0].options
    assert options["transform"] == cf.Spline(6, 2.0)
    assert options["conditioner"] == cf.ResidualNet(20, blocks=1, dropout=0.1)
    assert cf.nsf_ar(4, hidden=[8]).layers[0].options["conditioner"] == cf.MLP([8])
    for recipe in NEW.values():
        base = cf.Normal(learned=True)
        assert recipe(features=2, base=base).base == base
        assert recipe(features=2).layers[-1].type == "Affine"
        assert recipe(features=2, dtype="float64").dtype == "float64"


@pytest.mark.parametrize("recipe", NEW)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": 0}, ValueError, "layers must be 1 or more, got 0"),
        ({"features": 0}, ValueError, "features must be 1 or more, got 0"),
        ({"context_features": -1}, ValueError, "context_features must be 0 or more, got -1"),
        ({"activation": "foo"}, (ValueError, TypeError), "activation"),  # bnaf has none
        ({"hidden": "foo"}, TypeError, "hidden"),
    ],
)
def test_wrong_arguments_of_all_recipes_are_named(recipe, arguments, error, message):
    with pytest.raises(error, match=message):
        NEW[recipe](**{"features": 2, **arguments})
