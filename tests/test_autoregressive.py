"""Autoregressive layers: what depends on what, against a network with masks written in NumPy, and
the two directions against each other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import cflows as cf
from differences import gradient, jacobian

SPLINE = cf.Spline(bins=3, bound=4.0)
PARAM_COUNTS = {"affine": 2, "additive": 1, "spline": 8}
TRANSFORMS = {"affine": "affine", "additive": "additive", "spline": SPLINE}
PARALLEL = ("inverse", "forward")
ORDERS = list(itertools.permutations(range(4)))
Array = np.ndarray


def mlp(*hidden: int) -> cf.MLP:
    return cf.MLP(hidden, activation="tanh")


def residual(width: int, context: str = "gate") -> cf.ResidualNet:
    return cf.ResidualNet(width, blocks=2, activation="silu", context=context)


@dataclass(frozen=True)
class Case:
    """A flow of one autoregressive layer."""

    net: Any = field(default_factory=lambda: mlp(9, 7))
    features: int = 4
    context_features: int = 0
    transform: str = "affine"
    order: Any = "natural"
    parallel: str = "inverse"

    def build(self, dtype: str = "float64", scale: float = 1.0) -> cf.Flow:
        """With random weights, also where the network's masks are."""
        layer = cf.Autoregressive(
            self.order, self.parallel, TRANSFORMS[self.transform], conditioner=self.net
        )
        flow = cf.Flow([layer], self.features, self.context_features, dtype=dtype, seed=3)
        rng = np.random.default_rng(5)
        for parameter in flow.parameters.values():
            fan_in = parameter.shape[-1] if parameter.ndim == 2 else 2
            parameter[...] = rng.normal(size=parameter.shape) * scale / np.sqrt(max(fan_in, 1))
        return flow

    def rows(self, count: int, seed: int = 1) -> tuple[Array, Array | None]:
        rng = np.random.default_rng(seed)
        x = 1.5 * rng.normal(size=(count, self.features))
        return x, rng.normal(size=(count, self.context_features)) if self.context_features else None

    def other(self) -> str:
        """The direction that takes the features in turn."""
        return PARALLEL[self.parallel == "inverse"]


def apply(flow: cf.Flow, direction: str, x: Array, context: Array | None) -> tuple[Array, Array]:
    return (flow.inverse if direction == "inverse" else flow.forward)(x, context)


def order_of(flow: cf.Flow) -> list[int]:
    return list(flow.layers[0].options["order"])


def rank_of(flow: cf.Flow) -> Array:
    return np.argsort(order_of(flow))


# -- The masked network, from Germain et al. 2015, equations 7 to 9 -- #


def hidden_degrees(units: int, features: int, context_features: int) -> Array:
    """How many features a hidden unit may read: as many units of each number, ascending, from none,
    or without a context from one. Of units that do not go round, the first and the last have the
    least and the largest number, a single one the largest."""
    least = 0 if context_features else 1
    kinds = features - least
    if 1 < units < kinds:
        return least + np.ceil(np.arange(units) * (kinds - 1) / (units - 1)).astype(int)
    return least + np.ceil((np.arange(units) + 1) * kinds / units).astype(int) - 1


@dataclass(frozen=True)
class Degrees:
    """A unit reads those of the layer before whose degree is not larger."""

    context: Array
    features: Array  # by rank, all but the last
    hidden: dict[str, Array]  # by the name of the dense layer
    outputs: Array

    @classmethod
    def of(cls, case: Case, flow: cf.Flow) -> Degrees:
        hidden = {
            name.split(".", 3)[-1].removesuffix(".bias"): hidden_degrees(
                parameter.size, case.features, case.context_features
            )
            for name, parameter in flow.parameters.items()
            if name.endswith("bias")
        }
        outputs = np.repeat(np.arange(case.features), PARAM_COUNTS[case.transform])
        context = np.zeros(case.context_features, int)
        return cls(context, 1 + np.arange(case.features - 1), hidden, outputs)


def masks(case: Case, flow: cf.Flow) -> dict[str, Array]:
    """By the weight's name: whether an output, or row, may read an input, or column."""
    degrees = Degrees.of(case, flow)
    both = np.concatenate([degrees.context, degrees.features])
    residual_net = isinstance(case.net, cf.ResidualNet)
    separate = residual_net and case.net.context == "add" and case.context_features > 0
    result = {}
    below = degrees.features if separate and case.features > 1 else both
    for name in flow.parameters:
        layer = name.split(".", 3)[-1].removesuffix(".weight")
        if not name.endswith("weight"):
            continue
        last = layer == ("final" if residual_net else f"linear{len(case.net.hidden)}")
        own = degrees.outputs if last else degrees.hidden[layer]
        inputs = degrees.context if layer.endswith("context") else below
        result[name] = inputs[None, :] <= own[:, None]
        if not layer.endswith("context"):
            below = own
    return result


ACTIVATIONS = {"tanh": np.tanh, "silu": lambda a: a / (1 + np.exp(-a))}


class Network:
    """Unconstrained parameters [rows, features, numbers], the features as the flow has them."""

    def __init__(self, case: Case, flow: cf.Flow) -> None:
        self.case, self.order = case, order_of(flow)
        self.act = ACTIVATIONS[case.net.activation]
        prefix = "layers.0.conditioner."
        allowed = masks(case, flow)
        self.parameters = {
            name.removeprefix(prefix): np.where(allowed[name], array, 0)
            if name in allowed
            else array
            for name, array in flow.parameters.items()
        }

    def dense(self, name: str, h: Array) -> Array:
        return h @ self.parameters[f"{name}.weight"].T + self.parameters[f"{name}.bias"]

    def mlp(self, inputs: Array) -> Array:
        h = self.dense("linear0", inputs)
        for i in range(len(self.case.net.hidden)):
            h = self.dense(f"linear{i + 1}", self.act(h))
        return h

    def residual_net(self, inputs: Array, x: Array, c: Array | None) -> Array:
        add = self.case.net.context == "add" and c is not None
        if add and x.shape[1] > 0:
            h = self.dense("initial", x) + self.act(self.dense("context", c))
        else:
            h = self.dense("initial", inputs)
        for i in range(self.case.net.blocks):
            t = self.dense(f"block{i}.linear0", self.act(h))
            if add:
                t = t + self.dense(f"block{i}.context", c)
            t = self.dense(f"block{i}.linear1", self.act(t))
            if c is not None and not add:
                t = t / (1 + np.exp(-self.dense(f"block{i}.context", c)))
            h = h + t
        return self.dense("final", h)

    def __call__(self, x: Array, context: Array | None) -> Array:
        before = x[:, self.order[:-1]]
        inputs = before if context is None else np.concatenate([context, before], axis=1)
        if "constant" in self.parameters:
            params = np.tile(self.parameters["constant"], (len(x), 1))
        elif isinstance(self.case.net, cf.MLP):
            params = self.mlp(inputs)
        else:
            params = self.residual_net(inputs, before, context)
        by_rank = params.reshape(len(x), len(self.order), -1)
        return by_rank[:, np.argsort(self.order)]


# -- The transforms, u -> x with the logarithm of the derivative -- #


def affine(u: Array, params: Array) -> tuple[Array, Array]:
    log_scale = params[..., 0] / (1 + np.abs(params[..., 0]) / np.log(1000))
    return u * np.exp(log_scale) + params[..., 1], log_scale


def additive(u: Array, params: Array) -> tuple[Array, Array]:
    return u + params[..., 0], np.zeros_like(u)


def softmax(params: Array) -> Array:
    share = np.exp(params - params.max(-1, keepdims=True))
    return share / share.sum(-1, keepdims=True)


def knots(params: Array) -> Array:
    """Ends of bins on [-bound, bound]."""
    widths = 1e-3 + (1 - SPLINE.bins * 1e-3) * softmax(params)
    inner = np.cumsum(widths[..., :-1], -1)
    return SPLINE.bound * (2 * np.pad(inner, [(0, 0)] * (params.ndim - 1) + [(1, 0)]) - 1)


def spline(u: Array, params: Array) -> tuple[Array, Array]:
    """Durkan et al. 2019, equations 4 and 5; beyond the bound the identity."""
    bins, bound = SPLINE.bins, SPLINE.bound
    ends = np.full((*u.shape, 1), bound)
    x = np.concatenate([knots(params[..., :bins]), ends], -1)
    y = np.concatenate([knots(params[..., bins : 2 * bins]), ends], -1)
    ones = np.ones((*u.shape, 1))
    d = np.concatenate([ones, 1e-3 + np.logaddexp(0, params[..., 2 * bins :]), ones], -1)
    k = np.clip((u[..., None] >= x).sum(-1) - 1, 0, bins - 1)[..., None]

    def at(a: Array, place: Array) -> Array:
        return np.take_along_axis(a, place, -1)[..., 0]

    width, height = at(x, k + 1) - at(x, k), at(y, k + 1) - at(y, k)
    s, d0, d1, z = height / width, at(d, k), at(d, k + 1), (u - at(x, k)) / width
    q = s + (d1 + d0 - 2 * s) * z * (1 - z)
    value = at(y, k) + height * (s * z**2 + d0 * z * (1 - z)) / q
    slope = s**2 * (d1 * z**2 + 2 * s * z * (1 - z) + d0 * (1 - z) ** 2) / q**2
    inside = np.abs(u) < bound
    return np.where(inside, value, u), np.where(inside, np.log(np.where(inside, slope, 1)), 0)


FORMULAS = {"affine": affine, "additive": additive, "spline": spline}


def reference(case: Case, flow: cf.Flow, u: Array, context: Array | None) -> tuple[Array, Array]:
    """x and log_det of the map u -> x, with one feature after the other where it reads x."""
    network, formula = Network(case, flow), FORMULAS[case.transform]
    if case.parallel == "forward":
        x, log_derivative = formula(u, network(u, context))
        return x, log_derivative.sum(1)
    x = np.zeros_like(u)
    for feature in order_of(flow):
        value, log_derivative = formula(u, network(x, context))
        x[:, feature] = value[:, feature]
    return x, log_derivative.sum(1)


NETS = {
    "linear": mlp(),
    "one-layer": mlp(6),
    "three-layers": mlp(9, 5, 12),
    "one-unit": mlp(1),
    "few-units": mlp(2, 3),
    "many-units": mlp(40, 33),
    "gate": residual(9),
    "add": residual(9, "add"),
    "gate-few-units": residual(3),
    "add-few-units": residual(3, "add"),
}
REFERENCE_CASES = {
    f"{net}-{transform}-{parallel}-{features}-{context}": Case(
        NETS[net], features, context, transform, order, parallel
    )
    for (net, (features, context, order)), transform, parallel in itertools.product(
        itertools.product(NETS, [(4, 0, [2, 0, 3, 1]), (5, 3, "random"), (2, 1, "reverse")]),
        PARAM_COUNTS,
        PARALLEL,
    )
} | {
    f"{net}-one-feature-{context}": Case(NETS[net], 1, context)
    for net, context in itertools.product(("linear", "one-layer", "gate", "add"), (0, 2))
}


@pytest.mark.parametrize("name", REFERENCE_CASES)
def test_values_are_those_of_the_masked_network(name: str) -> None:
    case = REFERENCE_CASES[name]
    # Small enough that no slope of a spline is, which would cost the way back as many digits.
    flow = case.build(scale=0.5 if case.transform == "spline" else 1.0)
    u, context = case.rows(33)
    x, log_det = reference(case, flow, u, context)
    ours, our_log_det = flow.forward(u, context)
    np.testing.assert_allclose(ours, x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(our_log_det, log_det, rtol=0, atol=1e-12)
    back, back_log_det = flow.inverse(x, context)
    np.testing.assert_allclose(back, u, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(back_log_det, -log_det, rtol=0, atol=1e-11)


def test_reference_depends_on_every_unit() -> None:
    """The cases say nothing about weights that do not move the reference."""
    case = REFERENCE_CASES["many-units-affine-forward-5-3"]
    flow = case.build()
    u, context = case.rows(20)
    x = reference(case, flow, u, context)[0]
    for parameter in flow.parameters.values():
        kept = parameter.copy()
        parameter *= 1.01
        assert np.abs(reference(case, flow, u, context)[0] - x).max() > 1e-6
        parameter[...] = kept


@pytest.mark.parametrize("direction", PARALLEL)
@pytest.mark.parametrize("net", ["three-layers", "few-units", "gate", "add"])
def test_float32_is_near_the_reference(net: str, direction: str) -> None:
    case = Case(NETS[net], 5, 2, order="random", parallel=direction)
    flow = case.build("float32", scale=0.5)
    u, context = case.rows(50)
    x, log_det = reference(case, flow.astype("float64"), u, context)
    ours, our_log_det = flow.forward(u, context)
    assert ours.dtype == our_log_det.dtype == np.float32
    np.testing.assert_allclose(ours, x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(our_log_det, log_det, rtol=1e-5, atol=1e-5)


# -- What depends on what -- #


def only_param(flow: cf.Flow, rank: int, number: int, numbers: int) -> None:
    """Leaves one unconstrained parameter of one feature to the network; the others are
    constants."""
    *_, weight, _ = flow.parameters.values()
    kept = weight[rank * numbers + number].copy()
    weight[...] = 0
    weight[rank * numbers + number] = kept


def param_reads(case: Case, order: tuple[int, ...], parallel: str) -> None:
    """Each unconstrained parameter of the feature of rank r reads the features of lower rank, and
    no other."""
    numbers = PARAM_COUNTS[case.transform]
    x, context = case.rows(40)
    for rank, number in itertools.product(range(case.features), range(numbers)):
        flow = Case(
            case.net, case.features, case.context_features, case.transform, order, parallel
        ).build()
        only_param(flow, rank, number, numbers)
        jacobians = cf.jacobian(flow, x, context, direction=parallel)
        reads = np.any(jacobians[:, order[rank]] != 0, axis=0)
        expected = np.isin(np.arange(case.features), order[: rank + 1])
        np.testing.assert_array_equal(reads, expected)
        others = np.delete(jacobians, order[rank], axis=1)
        assert np.count_nonzero(others) <= others.shape[0] * others.shape[1]  # the diagonal


@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_each_parameter_reads_the_features_before_its_own(
    order: tuple[int, ...], parallel: str
) -> None:
    param_reads(Case(mlp(7, 6)), order, parallel)


@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("net", ["linear", "many-units", "gate", "add"])
def test_each_parameter_of_a_spline_reads_the_features_before_its_own(
    net: str, parallel: str
) -> None:
    for context in (0, 2):
        param_reads(Case(NETS[net], 4, context, "spline"), (2, 0, 3, 1), parallel)


@pytest.mark.parametrize("direction", PARALLEL)
@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("net", ["linear", "three-layers", "few-units", "gate", "add"])
def test_later_features_change_no_bit_of_earlier_ones(
    net: str, parallel: str, direction: str
) -> None:
    case = Case(NETS[net], 6, 2, order=[3, 5, 0, 2, 4, 1], parallel=parallel)
    flow = case.build()
    x, context = case.rows(20)
    y, _ = apply(flow, direction, x, context)
    for rank, feature in enumerate(order_of(flow)):
        moved = x.copy()
        moved[:, feature] += 0.5
        changed = np.any(apply(flow, direction, moved, context)[0] != y, axis=0)
        assert not changed[order_of(flow)[:rank]].any()
        assert changed[feature]


@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_differences_are_zero_outside_the_triangle(order: tuple[int, ...], parallel: str) -> None:
    """Both directions: exactly 0 beyond the feature itself, and not 0 up to it."""
    case = Case(order=order, parallel=parallel)
    flow = case.build()
    x, _ = case.rows(5)
    rank = rank_of(flow)
    triangle = rank[:, None] >= rank
    for direction in PARALLEL:

        def f(y: Array, direction: str = direction) -> Array:
            return apply(flow, direction, y, None)[0]

        matrices = jacobian(f, x)
        np.testing.assert_array_equal(np.any(matrices != 0, axis=0), triangle)
        ours = cf.jacobian(flow, x, direction=direction)
        assert np.all(ours[:, ~triangle] == 0)
        np.testing.assert_allclose(ours, matrices, rtol=0, atol=1e-7 * np.abs(matrices).max())


# -- Narrow networks -- #


WIDTHS = [(1,), (2,), (3,), (5,), (1, 1), (2, 7), (7, 2), (3, 40), (1, 40, 2)]


@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("features", [2, 3, 6, 7])
@pytest.mark.parametrize("hidden", WIDTHS, ids=str)
def test_last_feature_reads_all_before_it_however_narrow_the_network(
    hidden: tuple[int, ...], features: int, parallel: str
) -> None:
    nets = [mlp(*hidden), residual(hidden[0]), residual(hidden[0], "add")]
    for net, context in itertools.product(nets, (0, 2)):
        flow = Case(net, features, context, parallel=parallel).build()
        x, c = Case(net, features, context).rows(8)
        last = cf.jacobian(flow, x, c, direction=parallel)[:, -1]
        assert np.all(np.any(last != 0, axis=0))


@pytest.mark.parametrize("features", [2, 3, 6, 7])
@pytest.mark.parametrize("hidden", [h for h in WIDTHS if min(h) > 1], ids=str)
def test_first_feature_reads_the_context_however_narrow_the_network(
    hidden: tuple[int, ...], features: int
) -> None:
    """Two units are enough: one for the first feature, one for the last."""
    for net in (mlp(*hidden), residual(hidden[0]), residual(hidden[0], "add")):
        case = Case(net, features, 2)
        x, context = case.rows(8)
        cotangent = np.zeros_like(x)
        cotangent[:, 0] = 1
        cotangents = case.build().vjp(x, cotangent, None, context)
        assert np.all(np.any(cotangents.context != 0, axis=0))


# -- Weights that are masked -- #

MASKED_CASES = {
    f"{net}-{parallel}-{context}": Case(NETS[net], 5, context, order="random", parallel=parallel)
    for net, parallel, context in itertools.product(
        ("linear", "three-layers", "few-units", "gate", "add"), PARALLEL, (0, 2)
    )
}
masked_cases = pytest.mark.parametrize("name", MASKED_CASES)


@masked_cases
def test_masked_weights_start_at_0_and_others_do_not(name: str) -> None:
    case = MASKED_CASES[name]
    layer = cf.Autoregressive(case.order, case.parallel, conditioner=case.net)
    flow = cf.Flow([layer], case.features, case.context_features, seed=0)
    allowed = masks(case, flow)
    last = list(allowed)[-1]  # starts at 0 throughout
    assert any(not mask.all() for mask in allowed.values())
    for weight, mask in allowed.items():
        assert np.all((flow.parameters[weight] != 0) == (mask & (weight != last)))


@masked_cases
def test_gradients_of_masked_weights_are_0_and_others_are_not(name: str) -> None:
    case = MASKED_CASES[name]
    flow = case.build()
    x, context = case.rows(40)
    allowed = masks(case, flow)
    rng = np.random.default_rng(2)
    cotangents = rng.normal(size=x.shape), rng.normal(size=len(x))
    found = [
        flow.vjp(x, *cotangents, context, direction=direction).parameters for direction in PARALLEL
    ]
    flow.loss_and_grad(x, context)
    for gradients in (*found, flow.gradients):
        for weight, mask in allowed.items():
            assert np.all(gradients[weight][~mask] == 0)
            # The last hidden unit of a narrow layer may have nobody to read it.
            assert np.count_nonzero(gradients[weight][mask]) >= mask.sum() / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
@masked_cases
def test_what_is_written_into_masked_weights_is_not_read(
    name: str, garbage: float, dtype: str
) -> None:
    case = MASKED_CASES[name]
    flow = case.build(dtype)
    x, context = case.rows(70)
    one = None if context is None else context[0]
    cotangent = np.random.default_rng(2).normal(size=x.shape)

    def results() -> list[Array]:
        found = [*flow.forward(x, context), *flow.inverse(x, context), flow.log_prob(x, context)]
        found += [flow.sample(20, one, seed=1), flow.grad_log_prob(x, context)]
        found += [*flow.forward(x[:1], one), *flow.inverse(x[:1], one)]
        for direction in PARALLEL:
            back = flow.vjp(x, cotangent, cotangent[:, 0], context, direction=direction)
            found += [back.x, *back.parameters.values()]
        return found + list(flow.loss_and_grad(x, context)[1].values())

    for weight, mask in masks(case, flow).items():
        flow.parameters[weight][~mask] = 0
    before = results()
    for weight, mask in masks(case, flow).items():
        flow.parameters[weight][~mask] = garbage
    after = results()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "optimizer", [cf.Adam(0.01), cf.AdamW(0.01, weight_decay=0.1), cf.Muon()], ids=repr
)
@masked_cases
def test_masked_weights_stay_0_through_a_fit(name: str, optimizer: cf.Optimizer) -> None:
    case = MASKED_CASES[name]
    layer = cf.Autoregressive(case.order, case.parallel, conditioner=case.net)
    flow = cf.Flow([layer], case.features, case.context_features, seed=0)
    start = {name: array.copy() for name, array in flow.parameters.items()}
    x, context = case.rows(300)
    mixed = x @ np.random.default_rng(4).normal(size=(case.features,) * 2)
    rows = (mixed,) if context is None else (mixed, context)
    flow.fit(*rows, epochs=3, batch_size=50, optimizer=optimizer, seed=1, progress=False)
    for weight, mask in masks(case, flow).items():
        assert np.all(flow.parameters[weight][~mask] == 0)
        assert np.mean(flow.parameters[weight][mask] != start[weight][mask]) > 0.5


# -- Gradients of the direction that takes the features in turn -- #

GRADIENT_CASES = {
    f"{net}-{transform}-{parallel}-{context}": Case(
        NETS[net], 4, context, transform, [2, 0, 3, 1], parallel
    )
    for net, transform, parallel, context in itertools.product(
        ("three-layers", "few-units", "gate", "add"), PARAM_COUNTS, PARALLEL, (0, 2)
    )
}
gradient_cases = pytest.mark.parametrize("name", GRADIENT_CASES)


def in_turn(name: str) -> tuple[Case, cf.Flow, Array, Array | None, Array, Array]:
    """Some rows that the direction maps, and cotangents of what it gives."""
    case = GRADIENT_CASES[name]
    rng = np.random.default_rng(3)
    u, context = case.rows(6)
    return case, case.build(), u, context, rng.normal(size=u.shape), rng.normal(size=len(u))


def norm_close(ours: Array, truth: Array, tolerance: float) -> None:
    assert ours.shape == truth.shape
    assert np.linalg.norm(ours - truth) <= tolerance * (np.linalg.norm(truth) + 1e-3)


@gradient_cases
def test_gradients_in_turn_against_differences(name: str) -> None:
    case, flow, u, context, value, log_det = in_turn(name)
    ours = flow.vjp(u, value, log_det, context, direction=case.other())

    def objective() -> float:
        x, ld = apply(flow, case.other(), u, context)
        return np.sum(x * value, dtype=np.longdouble) + np.sum(ld * log_det, dtype=np.longdouble)

    # The second derivative of a spline jumps at its knots: smaller steps stay between them.
    step = 1e-4 if case.transform == "spline" else 1e-3
    norm_close(ours.x, gradient(objective, u, step), 1e-7)
    if context is not None:
        norm_close(ours.context, gradient(objective, context, step), 1e-7)
    for parameter, array in flow.parameters.items():
        norm_close(ours.parameters[parameter], gradient(objective, array, step), 1e-7)


@gradient_cases
def test_gradients_in_turn_by_the_inverse_function_theorem(name: str) -> None:
    """From the other direction S, u = S(x): with w the cotangent of x, that of u is z = S'^-T w,
    and what S gives for the cotangent -z of u is the gradient."""
    case, flow, u, context, value, log_det = in_turn(name)
    ours = flow.vjp(u, value, log_det, context, direction=case.other())
    x, _ = apply(flow, case.other(), u, context)
    w = value + flow.vjp(x, None, -log_det, context, direction=case.parallel).x
    matrices = cf.jacobian(flow, x, context, direction=case.parallel)
    z = np.linalg.solve(matrices.transpose(0, 2, 1), w[..., None])[..., 0]
    norm_close(ours.x, z, 1e-9)
    truth = flow.vjp(x, -z, -log_det, context, direction=case.parallel)
    norm_close(truth.x, -value, 1e-9)
    if context is not None:
        norm_close(ours.context, truth.context, 1e-9)
    for parameter, array in truth.parameters.items():
        norm_close(ours.parameters[parameter], array, 1e-9)


# -- Options -- #


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"order": "up"}, ValueError, ["order", "'natural', 'reverse', 'random'", "got 'up'"]),
        ({"order": [0, 0, 1]}, ValueError, ["index 0 is repeated", "position 1"]),
        ({"order": [0, 1]}, ValueError, ["must be 3", "as many as there are features", "got 2"]),
        ({"order": []}, ValueError, ["must be 3", "as many as there are features", "got 0"]),
        ({"order": [0, 1, 3]}, ValueError, ["from 0 to 2", "got 3", "position 2"]),
        ({"order": [0, -1, 1]}, ValueError, ["from 0 to 2", "got -1", "position 1"]),
        ({"order": [0.5, 1, 2]}, TypeError, ["order", "sequence of int", "got [0.5, 1, 2]"]),
        ({"order": None}, TypeError, ["order", "got None"]),
        ({"parallel": "both"}, ValueError, ["parallel", "'inverse', 'forward'", "got 'both'"]),
        ({"conditioner": [cf.MLP(), cf.MLP()]}, ValueError, ["one conditioner", "list of 2"]),
        ({"conditioner": cf.Scale()}, TypeError, ["conditioner", "got Scale()"]),
        ({"conditioner": cf.MLP(), "hidden": (4,)}, ValueError, ["hidden", "one or the other"]),
        ({"hidden": (8, 0)}, ValueError, ["hidden", "from 1", "got 0"]),
        ({"hidden": 3.5}, TypeError, ["hidden", "sequence of int", "got 3.5"]),
        ({"transform": "cubic"}, ValueError, ["transform", "'affine'", "got 'cubic'"]),
        ({"transform": "additive", "scale": "exp"}, ValueError, ["scale", "not with additive"]),
        ({"activation": "swish"}, ValueError, ["activation", "'relu'", "got 'swish'"]),
        ({"masks": 3}, TypeError, ["masks"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options(options: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as raised:
        cf.Flow([cf.Autoregressive(**options)], features=3)
    message = str(raised.value)
    assert message.startswith(("Autoregressive", "MLP"))
    assert all(word in message for word in words), message


# -- Orders -- #


def test_named_orders() -> None:
    def order(name: str, **options: int) -> list[int]:
        return order_of(cf.Flow([cf.Autoregressive(name)], features=6, **options))

    assert order("natural") == list(range(6))
    assert order("reverse") == list(range(6))[::-1]
    drawn = [order("random", seed=seed) for seed in range(30)]
    assert all(sorted(one) == list(range(6)) for one in drawn)
    assert len(set(map(tuple, drawn))) > 25
    assert drawn[7] == order("random", seed=7)


def test_random_orders_differ_from_layer_to_layer() -> None:
    layers = [cf.Autoregressive("random"), cf.Permutation("random"), cf.Autoregressive("random")]
    flow = cf.Flow(layers, features=12, seed=0)
    drawn = [layer.options["indices" if i == 1 else "order"] for i, layer in enumerate(flow.layers)]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("parallel", PARALLEL)
def test_a_saved_random_order_is_the_same_function(parallel: str, tmp_path: Any) -> None:
    case = Case(mlp(9, 7), 6, 2, order="random", parallel=parallel)
    flow = case.build()
    flow.save(tmp_path / "flow.safetensors")
    loaded = cf.load(tmp_path / "flow.safetensors")
    x, context = case.rows(20)
    assert order_of(loaded) == order_of(flow) != list(range(6))
    for direction in PARALLEL:
        for ours, theirs in zip(
            apply(loaded, direction, x, context), apply(flow, direction, x, context), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
