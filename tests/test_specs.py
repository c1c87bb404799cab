"""Layers and their parts as Python objects."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import cflows as cf
from cflows import _core

SPECS = [
    cf.Coupling(),
    cf.Coupling("alternating", True, "additive", None, (3, 4), "tanh"),
    cf.Coupling(mask=(True, False, True), conditioner=cf.MLP(hidden=())),
    cf.Coupling(conditioner=[cf.MLP((3,)), cf.ResidualNet(5)], scale=cf.Scale("tanh", bound=2)),
    cf.Permutation(),
    cf.Permutation("random"),
    cf.Permutation([2, 0, 1]),
    cf.Affine(),
    cf.Affine(shift=[1.5, -2], scale=1e-300),
    cf.Affine(scale=0.1, learned=True),
    cf.Inverse(cf.Coupling(mask=[0])),
    cf.Chain([cf.Inverse(cf.Affine(1.0)), cf.Chain([])]),
    cf.MLP((5,), output_activation="tanh", output_multiplier=-0.5),
    cf.ResidualNet(hidden=7, blocks=0),
    cf.Scale("softplus", minimum=1e-3, maximum=3.0, reciprocal=True),
    cf.Embedding(3),
    cf.Embedding(8, cf.MLP((4,))),
    cf.Normal(),
    cf.Normal([0.0, 1.0], [1.0, np.pi], learned=True),
]
ids = pytest.mark.parametrize("spec", SPECS, ids=repr)


@ids
def test_repr_is_the_call_that_makes_it(spec):
    assert eval(repr(spec), vars(cf)) == spec


@ids
def test_options_are_those_of_the_signature_and_make_it_again(spec):
    options = spec.options
    assert list(options) == list(inspect.signature(type(spec)).parameters)
    assert type(spec)(**options) == spec
    assert type(spec)(*options.values()) == spec
    assert _core.make_spec(spec.type, options) == spec
    for name, value in options.items():
        assert getattr(spec, name) == value


@ids
def test_copies_and_pickles_are_equal(spec):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(spec, protocol)) == spec
    assert copy.copy(spec) == spec
    assert copy.deepcopy(spec) == spec


def test_equality_is_by_value():
    for i, a in enumerate(SPECS):
        for k, b in enumerate(SPECS):
            assert (a == b) == (i == k)
            assert (a != b) == (i != k)
    assert len(set(SPECS + [copy.copy(spec) for spec in SPECS])) == len(SPECS)
    assert cf.Coupling(hidden=[64, 64], mask="half") == cf.Coupling()
    assert hash(cf.Coupling(hidden=[64, 64], mask="half")) == hash(cf.Coupling())
    assert cf.Affine(2) == cf.Affine(2.0)
    assert cf.Coupling() != "Coupling()"
    with pytest.raises(TypeError):
        cf.Coupling() < cf.Coupling()  # noqa: B015


@ids
def test_specs_cannot_be_changed(spec):
    for name in [*spec.options, "type", "options", "anything"]:
        with pytest.raises(AttributeError):
            setattr(spec, name, None)
    before = repr(spec)
    spec.options.clear()
    assert repr(spec) == before


def test_roles_are_classes():
    for spec in SPECS:
        roles = {"layer": cf.Layer, "conditioner": cf.Conditioner, "base": cf.Base}
        assert isinstance(spec, roles.get(spec.role, (cf.Scale, cf.Embedding)))
        assert isinstance(spec, cf.Spec)
        assert spec.type == type(spec).__name__
        assert type(spec).__module__ == "cflows"
    assert not isinstance(cf.MLP(), cf.Layer)


@pytest.mark.parametrize("cls", [cf.Spec, cf.Layer, cf.Conditioner, cf.Base])
def test_roles_cannot_be_instantiated_nor_types_subclassed(cls):
    with pytest.raises(TypeError, match="cannot create"):
        cls()
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (cf.Coupling,), {})
    with pytest.raises(TypeError, match="cannot create"):
        type("Mine", (cls,), {})()


def test_numpy_values_are_taken_as_pythons():
    assert cf.Coupling(mask=np.array([True, False])) == cf.Coupling(mask=[True, False])
    assert cf.Coupling(mask=np.array([0, 2], "u1")) == cf.Coupling(mask=range(0, 3, 2))
    assert cf.Coupling(mask=np.arange(6)[::2]) == cf.Coupling(mask=(0, 2, 4))
    assert cf.Coupling(swap=np.True_) == cf.Coupling(swap=True)
    assert cf.ResidualNet(np.int16(5)) == cf.ResidualNet(5)
    assert cf.Affine(np.float32(0.5), np.arange(1, 3)) == cf.Affine(0.5, [1.0, 2.0])
    assert cf.Affine([1, np.float64(2.5)]) == cf.Affine((1.0, 2.5))


def test_values_are_python_objects():
    affine = cf.Affine(np.arange(3), np.float32(2))
    assert affine.shift == (0.0, 1.0, 2.0)
    assert all(type(number) is float for number in (*affine.shift, affine.scale))
    assert cf.Coupling(mask=[True, False]).mask == (True, False)
    assert cf.Coupling(mask=[1, 0]).mask == (1, 0)
    assert type(cf.Coupling(mask=[True]).mask[0]) is bool
    assert cf.Coupling().conditioner is None


def test_empty_lists_are_of_the_options_kind():
    assert cf.MLP(hidden=[]).hidden == ()
    assert cf.Chain([]).layers == ()
    assert cf.Coupling(mask=[]).mask == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.Coupling(hidden=64.0), "hidden expects int or sequence of int, got 64.0"),
        (
            lambda: cf.Coupling(hidden=[64.0]),
            r"hidden expects int or sequence of int, got \[64.0\]",
        ),
        (lambda: cf.Coupling(hidden=[True]), "hidden expects int or sequence of int"),
        (lambda: cf.Coupling(hidden="64"), "hidden expects int or sequence of int, got '64'"),
        (lambda: cf.Coupling(hidden={64}), "hidden expects int or sequence of int"),
        (lambda: cf.Coupling(hidden=None), "hidden expects int or sequence of int, got None"),
        (lambda: cf.Coupling(hidden=np.array(3)), "hidden expects"),
        (lambda: cf.Coupling(hidden=np.ones((2, 2), int)), "hidden expects"),
        (lambda: cf.Coupling(mask=[True, 1]), "mask expects"),
        (lambda: cf.Coupling(mask=[0.5]), "mask expects"),
        (lambda: cf.Coupling(mask=b"half"), "mask expects"),
        (lambda: cf.Coupling(swap=1), "swap expects bool, got 1"),
        (lambda: cf.Coupling(swap="no"), "swap expects bool"),
        (lambda: cf.Coupling(conditioner=cf.Affine()), "conditioner expects Conditioner or"),
        (lambda: cf.Coupling(conditioner=[cf.MLP(), None]), "conditioner expects"),
        (lambda: cf.Coupling(scale=2.0), "scale expects"),
        (lambda: cf.ResidualNet(hidden=2.0), "hidden expects int, got 2.0"),
        (lambda: cf.ResidualNet(hidden=(2,)), "hidden expects int"),
        (lambda: cf.ResidualNet(hidden=True), "hidden expects int"),
        (lambda: cf.Affine(shift=1j), "shift expects float or sequence of float or None"),
        (lambda: cf.Affine(shift=["1"]), "shift expects"),
        (lambda: cf.Affine(shift=[1.0, None]), "shift expects"),
        (lambda: cf.Affine(learned=1.0), "learned expects bool"),
        (lambda: cf.MLP(activation=None), "activation expects {'relu', "),
        (lambda: cf.Inverse(cf.MLP()), "layer expects Layer, got MLP"),
        (lambda: cf.Inverse([cf.Affine()]), "layer expects Layer"),
        (lambda: cf.Chain(cf.Affine()), "layers expects sequence of Layer"),
        (lambda: cf.Inverse(), "layer is missing"),
        (lambda: cf.Coupling("half", mask="half"), "multiple values for argument 'mask'"),
        (lambda: cf.Coupling(masks="half"), "unexpected keyword argument 'masks'"),
        (lambda: cf.Normal(1, 2, False, None, 5), "at most 4 arguments, got 5"),
        (lambda: _core.make_spec("Normal"), "takes a string and a dict"),
        (lambda: _core.make_spec("Normal", {1: 2}), "unexpected keyword argument 1"),
    ],
)
def test_wrong_kinds_are_type_errors(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cf.Coupling(mask="quarter"),
            "mask must be one of 'half', 'alternating', 'checkerboard', got",
        ),
        (lambda: cf.Coupling(mask="hälf"), "got 'hälf'"),
        (lambda: cf.Coupling(mask="ä" * 100), "got 'ä"),  # cut off within a character
        (lambda: cf.Coupling(mask="half\0"), "null character"),
        (lambda: cf.Coupling(mask="\ud800"), "surrogates"),
        (lambda: cf.Coupling(conditioner=cf.MLP(), hidden=(3,)), "one or the other"),
        (lambda: cf.Coupling(conditioner=[cf.MLP()]), "got 1 for 'affine'"),
        (lambda: cf.MLP(hidden=[0]), "from 1 to 1048576, got 0"),
        (lambda: cf.MLP(hidden=[2**63]), "must fit 64 bits, got 9223372036854775808"),
        (lambda: cf.Affine(shift=[10**400, 0.5]), "must fit a float"),
        (lambda: cf.Affine(shift=10**400), "Affine: shift must fit a float"),
        (lambda: cf.Affine(scale=[1.0, 0.0]), "other than 0, got 0 at index 1"),
        (lambda: cf.Affine(shift=float("nan")), "must be finite, got"),
        (lambda: cf.Permutation([0, 0]), "index 0 is repeated at position 1"),
        (lambda: cf.Permutation([0, 2]), "from 0 to 1, got 2 at position 1"),
        (lambda: cf.Permutation([-1, 0]), "got -1"),
        (lambda: cf.Normal(scale=-1.0), "positive, got -1"),
        (lambda: cf.Coupling(transform="cubic"), "transform must be one of"),
        (lambda: cf.Coupling(transform="spline", scale="exp"), "not with spline"),
        (lambda: cf.Elementwise(transform=cf.Spline(), scale="exp"), "not with a transform"),
        (lambda: cf.Spline(bins=0), "from 1 to 128, got 0"),
        (lambda: cf.Spline(bins=129), "got 129"),
        (lambda: cf.Spline(bound=-1.0), "bound must be positive, got -1"),
        (lambda: cf.Spline(bound=2.0, box=[0.0, 1.0]), "bound or box, not both"),
        (lambda: cf.Spline(box=[1.0, 0.0]), "the lower first"),
        (lambda: cf.Spline(box=[0.0, 1.0, 2.0]), "two finite numbers"),
        (lambda: cf.Spline(bins=10, minimum_bin=0.1), "below 1 / bins = 0.1, got 0.1"),
        (lambda: cf.Spline(minimum_slope=0.0), "between 0 and 1, got 0"),
        (lambda: cf.Spline(factor=0.0), "factor must be positive"),
        (lambda: cf.LinearSpline(bins=200), "LinearSpline: bins must be from 1 to 128, got 200"),
        (lambda: cf.LinearSpline(4, minimum_bin=0.25), "LinearSpline: minimum_bin must be"),
        (lambda: cf.QuadraticSpline(box=[0.0]), "QuadraticSpline: box must be two finite numbers"),
        (lambda: cf.QuadraticSpline(minimum_slope=1.0), "QuadraticSpline: minimum_slope must be"),
        (lambda: cf.CubicSpline(minimum_slope=-1.0), "CubicSpline: minimum_slope must be"),
        (lambda: cf.CubicSpline(tails="circular"), "circular"),
        (lambda: cf.Sigmoid(1.0, 1.0), "low must be below high"),
        (lambda: cf.Logit(temperature=0.0), "Logit: temperature must be positive"),
        (lambda: cf.Logit(epsilon=0.5), "from 0 to below 0.5, got 0.5"),
        (lambda: cf.Power(0.0), "exponent must have a finite inverse, got 0"),
        (lambda: cf.Triangular(signs=[1, 2]), "1 or -1, got 2 at 1"),
        (lambda: cf.Triangular(unit=True, scale="softplus"), "neither scale nor signs"),
        (lambda: cf.Householder(0), "from 1 to 1048576, got 0"),
        (lambda: cf.Scale(bound=0.0), "bound must be positive"),
        (lambda: _core.make_spec("Nothing", {}), "no layer or part is called 'Nothing'"),
    ],
)
def test_wrong_values_are_value_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_docstrings_are_made_from_the_tables():
    doc = cf.Coupling.__doc__
    assert doc.startswith("Coupling layer: some features are kept")
    assert "u -> x" in doc
    assert (
        "\nmask : {'half', 'alternating', 'checkerboard'} or sequence of bool or sequence of int, "
        in doc
    )
    assert doc.index("\nParameters\n----------\n") < doc.index("\nReferences\n----------\n")
    assert "u -> x" not in cf.MLP.__doc__
    assert cf.Coupling.mask.__doc__.startswith("Which features, or channels of an image, are kept")
    for line in inspect.getdoc(cf.Permutation).splitlines():
        assert len(line) <= 100
