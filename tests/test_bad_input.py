"""Bad input: each call gives the documented exception, says why, and changes nothing."""

import numpy as np
import pytest

import cflows as cf

FEATURES, CONTEXT = 3, 2
X = np.zeros((5, FEATURES))
C = np.zeros((5, CONTEXT))


@pytest.fixture
def flow():
    """A flow with context, held against what it was before the test."""
    flow = cf.realnvp(
        FEATURES, layers=2, hidden=(4,), context_features=CONTEXT, dtype="float64", seed=0
    )
    rng = np.random.default_rng(0)
    for array in flow.parameters.values():
        array[...] = rng.normal(size=array.shape)
    flow.loss_and_grad(X + 1, C)
    flow.freeze("layers.0.*.bias")
    before = state(flow)
    yield flow
    after = state(flow)
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


@pytest.fixture
def plain():
    """A flow without context."""
    return cf.realnvp(FEATURES, layers=1, hidden=(4,), seed=0)


def state(flow):
    arrays = {"parameters": flow.parameters, "gradients": flow.gradients, "buffers": flow.buffers}
    kept = {
        f"{kind} {name}": array.copy()
        for kind, mapping in arrays.items()
        for name, array in mapping.items()
    }
    return kept | {"log_prob": flow.log_prob(X, C), "frozen": flow.frozen}


CALLS = {
    "forward": lambda flow, x, c: flow.forward(x, c),
    "inverse": lambda flow, x, c: flow.inverse(x, c),
    "log_prob": lambda flow, x, c: flow.log_prob(x, c),
    "grad_log_prob": lambda flow, x, c: flow.grad_log_prob(x, c),
    "vjp": lambda flow, x, c: flow.vjp(x, X, context=c),
    "vjp forward": lambda flow, x, c: flow.vjp(x, X, context=c, direction="forward"),
    "loss_and_grad": lambda flow, x, c: flow.loss_and_grad(x, c),
    "jacobian": lambda flow, x, c: cf.jacobian(flow, x, c),
    "audit": lambda flow, x, c: cf.audit(flow, x, c),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@every_call
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((5, 2)), ValueError, r"must have shape \(n, 3\), got \(5, 2\)"),
        (np.zeros((5, 4)), ValueError, r"must have shape \(n, 3\), got \(5, 4\)"),
        (np.zeros((5, 0)), ValueError, r"must have shape \(n, 3\), got \(5, 0\)"),
        (np.zeros(4), ValueError, r"must have shape \(n, 3\), got \(4,\)$"),
        (np.zeros(3), ValueError, r"got \(3,\); one sample is [xu]\.reshape\(1, -1\)"),
        (np.zeros((2, 5, 3)), ValueError, r"must have shape \(n, 3\), got \(2, 5, 3\)"),
        (np.float64(1.0), ValueError, r"must have shape \(n, 3\), got \(\)"),
        ([], ValueError, r"must have shape \(n, 3\), got \(0,\)"),
        (X.astype(complex), TypeError, "must be real numbers, got dtype complex128"),
        (np.array([[1, 2, "a"]] * 5, object), TypeError, "must be real numbers, got 'a' among"),
        (X.astype(str), TypeError, "must be real numbers, got dtype <U"),
        (X.astype("M8[s]"), TypeError, "must be real numbers, got dtype datetime64"),
        (np.zeros(5, "f,f,U3"), TypeError, "field f2, must be real numbers, got dtype <U3"),
        ("abc", TypeError, "must be an array, got 'abc'"),
        (None, TypeError, "must be an array, got None"),
        ([[1, 2, 3], [4, 5]], ValueError, "must be an array, got rows of different lengths"),
        (np.ma.masked_equal(X, 0.0), TypeError, "is a masked array: fill or drop what is masked"),
    ],
)
def test_wrong_arrays(flow, call, x, error, message):
    with pytest.raises(error, match=message):
        call(flow, x, C)


@every_call
@pytest.mark.parametrize(
    ("context", "error", "message"),
    [
        (None, ValueError, r"needs context of shape \(n, 2\) or \(2,\), got None"),
        (np.zeros((5, 3)), ValueError, r"must have shape \(n, 2\) or \(2,\), got \(5, 3\)"),
        (np.zeros(3), ValueError, r"must have shape \(n, 2\) or \(2,\), got \(3,\)"),
        (np.zeros((1, 5, 2)), ValueError, r"got \(1, 5, 2\)"),
        (0.0, ValueError, r"got \(\)"),
        (np.zeros((4, 2)), ValueError, "must have 5 rows, as the samples, or 1, got 4"),
        (np.zeros((0, 2)), ValueError, "must have 5 rows, as the samples, or 1, got 0"),
        (C * 1j, TypeError, "context must be real numbers, got dtype complex128"),
        ("ab", TypeError, "context must be an array, got 'ab'"),
    ],
)
def test_wrong_context(flow, call, context, error, message):
    with pytest.raises(error, match=message):
        call(flow, X, context)


@every_call
def test_unexpected_context(plain, call):
    with pytest.raises(ValueError, match="context must be None: the flow has no context features"):
        call(plain, X, C)


def test_samples_of_one_feature_in_one_dimension():
    flow = cf.Flow([], 1)
    with pytest.raises(ValueError, match=r"samples of one feature are x\.reshape\(-1, 1\)"):
        flow.log_prob(np.zeros(7))


@pytest.mark.parametrize("name", ["sample", "sample_and_log_prob"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": -1}, ValueError, "n must be from 0 to 9223372036854775807, got -1"),
        ({"n": 2**64}, ValueError, "n must be from 0 to .*, got 18446744073709551616"),
        ({"n": 2**62}, ValueError, "n must be at most 384307168202282325"),
        (
            {"n": 2**62, "context": np.zeros((3, 2))},
            ValueError,
            "n must be at most .* for each of 3 contexts",
        ),
        ({"n": 2.0}, TypeError, "n must be an integer, got float"),
        ({"n": None}, TypeError, "n must be an integer, got NoneType"),
        ({"n": "3"}, TypeError, "n must be an integer, got str"),
        ({"n": 1, "seed": -1}, ValueError, "seed must be from 0 to 18446744073709551615, got -1"),
        ({"n": 1, "seed": 2**64}, ValueError, "seed must be from 0"),
        ({"n": 1, "seed": 1.5}, TypeError, "seed must be an integer, got float"),
        ({"n": 1, "start": -1}, ValueError, "start must be from 0 to 9223372036854775807, got -1"),
        ({"n": 1, "start": 2**63}, ValueError, "start must be from 0"),
        ({"n": 1, "start": 1.0}, TypeError, "start must be an integer, got float"),
        ({"n": 1, "context": None}, ValueError, "needs context"),
        ({"n": 1, "context": np.zeros(3)}, ValueError, r"got \(3,\)"),
        ({}, TypeError, r"missing .*argument.* 'n'"),
    ],
)
def test_wrong_sampling(flow, name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(flow, name)(**{"context": C[0], **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "needs du, dlog_det or both, got neither"),
        ({"du": X[:4]}, ValueError, "du must have 5 rows, as the samples, got 4"),
        ({"du": X[:, :2]}, ValueError, r"du must have shape \(n, 3\), got \(5, 2\)"),
        ({"du": X[0]}, ValueError, r"du must have shape \(n, 3\), got \(3,\)"),
        ({"du": X * 1j}, TypeError, "du must be real numbers"),
        ({"dlog_det": np.zeros(4)}, ValueError, "dlog_det must have 5 rows, as the samples, got 4"),
        ({"dlog_det": X}, ValueError, r"dlog_det must have shape \(n,\), got \(5, 3\)"),
        ({"dlog_det": 1.0}, ValueError, r"dlog_det must have shape \(n,\), got \(\)"),
        ({"du": X, "direction": "back"}, ValueError, "'inverse' or 'forward', got 'back'"),
        ({"du": X, "direction": 1}, ValueError, "'inverse' or 'forward', got 1"),
    ],
)
def test_wrong_cotangents(flow, arguments, error, message):
    with pytest.raises(error, match=message):
        flow.vjp(X, context=C, **arguments)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(4), ValueError, "weights must have 5 rows, as the samples, got 4"),
        (np.ones((5, 1)), ValueError, r"weights must have shape \(n,\), got \(5, 1\)"),
        ([1, 1, -1, 1, 1], ValueError, "finite and not negative, got -1 in row 2"),
        ([1, np.nan, 1, 1, 1], ValueError, "finite and not negative, got nan in row 1"),
        ([np.inf, 1, 1, 1, 1], ValueError, "finite and not negative, got inf in row 0"),
        (np.zeros(5), ValueError, "all weights are 0"),
        (np.full(5, 1e308), ValueError, "add up to inf, which is out of range"),
        (np.full(5, 1e-320), ValueError, "add up to 4.9999.e-320, which is out of range"),
        (["1"] * 5, TypeError, "weights must be real numbers"),
    ],
)
def test_wrong_weights(flow, weights, error, message):
    with pytest.raises(error, match=message):
        flow.loss_and_grad(X, C, weights)


def test_a_mean_over_no_rows(flow):
    with pytest.raises(ValueError, match="needs at least 1 row, got 0"):
        flow.loss_and_grad(X[:0], C[:0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flow: flow.log_prob(), "missing the argument 'x'"),
        (lambda flow: flow.log_prob(X, C, 0, 0, C), "at most 4 arguments, got 5"),
        (lambda flow: flow.log_prob(X, ctx=C), "unexpected keyword argument 'ctx'"),
        (lambda flow: flow.log_prob(X, x=X), "multiple values for argument 'x'"),
        (lambda flow: flow.forward(x=X), "unexpected keyword argument 'x'"),
    ],
)
def test_wrong_arguments(flow, call, message):
    with pytest.raises(TypeError, match=message):
        call(flow)


@pytest.mark.parametrize("name", ["freeze", "unfreeze"])
def test_patterns_that_match_nothing(flow, name):
    with pytest.raises(ValueError, match=r"no parameter's name matches 'layers\.9\.\*'"):
        getattr(flow, name)("layers.9.*")
    with pytest.raises(ValueError, match="matches ''"):
        getattr(flow, name)("")
    with pytest.raises(TypeError, match="must be a str, got int"):
        getattr(flow, name)(3)


def test_nesting_too_deep():
    layer = cf.Affine()
    with pytest.raises(ValueError, match="layer nest deeper than 100 levels"):
        for _ in range(200_000):
            layer = cf.Inverse(layer)
    with pytest.raises(ValueError, match="layers nest deeper than 100 levels"):
        cf.Flow([layer], 2)


def broken_states():
    good = cf.Flow([cf.Coupling(hidden=(2,)), cf.Affine()], 2, seed=0).__reduce__()[2]
    name = "layers.0.conditioner.linear0.bias"

    def having(**changes):
        return {**good, **changes}

    def tensors(array):
        return having(parameters={**good["parameters"], name: array})

    yield "not a dict", [], TypeError, "is a dict, got list"
    for key in good:
        yield f"no {key}", {k: v for k, v in good.items() if k != key}, ValueError, f"no '{key}'"
    yield "sizes", having(shape=(3,)), ValueError, "of the flow's shape and dtype"
    yield "layer", having(layers=(cf.MLP(),)), TypeError, "layers expects"
    yield "dtype", having(dtype="float64"), ValueError, "of the flow's shape and dtype"
    yield "shape", tensors(np.zeros(3, "f")), ValueError, name
    yield "element", tensors(np.zeros(2, "d")), ValueError, name
    yield "list", tensors([0.0, 0.0]), ValueError, name
    yield "missing", having(parameters={}), ValueError, "must be a dict of 4 arrays"
    yield "buffers", having(buffers=None), ValueError, "must be a dict of 1 arrays"
    yield "frozen", having(frozen=("nothing",)), ValueError, "no parameter's name matches"
    yield "frozen kind", having(frozen="*"), TypeError, "'frozen' must be a tuple, got str"
    yield "attributes", having(attributes=3), TypeError, "'attributes' must be a dict, got int"


@pytest.mark.parametrize(
    ("state", "error", "message"), [pytest.param(*case, id=name) for name, *case in broken_states()]
)
def test_broken_pickles_leave_no_flow(state, error, message):
    flow = cf.Flow.__new__(cf.Flow)
    with pytest.raises(error, match=message):
        flow.__setstate__(state)
    with pytest.raises(RuntimeError, match="not been initialised"):
        flow.features  # noqa: B018


def uninitialised():
    flow = cf.Flow.__new__(cf.Flow)
    public = [name for name in dir(flow) if not name.startswith("_")]
    arguments = {"sample": (1,), "sample_and_log_prob": (1,), "vjp": (X, X)}
    arguments |= dict.fromkeys(["freeze", "unfreeze"], ("*",)) | {"astype": ("float32",)}
    arguments |= {"fit_target": (abs,), "importance_sample": (abs, 1), "part": ()}
    arguments |= {"importance_weighted_log_prob": (X, 2), "log_prob_grid": (X, X)}
    arguments |= {"reflow": (9,), "distill": (cf.Flow([], FEATURES), 9)}
    for name in public:
        yield name, arguments.get(name, (X,))


@pytest.mark.parametrize(("name", "arguments"), [*uninitialised()])
def test_flows_that_were_never_initialised(name, arguments):
    flow = cf.Flow.__new__(cf.Flow)
    with pytest.raises(RuntimeError, match="not been initialised"):
        getattr(flow, name)(*arguments)
    with pytest.raises(RuntimeError, match="not been initialised"):
        flow.__reduce__()


def test_a_flow_is_initialised_once(flow):
    with pytest.raises(RuntimeError, match="initialised already"):
        flow.__init__([], 2)
    with pytest.raises(RuntimeError, match="initialised already"):
        flow.__setstate__(flow.__reduce__()[2])


@pytest.mark.parametrize(
    ("threads", "error", "message"),
    [
        (0, ValueError, "got 0"),
        (257, ValueError, "got 257"),
        (-1, ValueError, "got -1"),
        (2**40, ValueError, "got 1099511627776"),
        (1.0, TypeError, "must be an integer, got float"),
        (None, TypeError, "must be an integer, got NoneType"),
    ],
)
def test_wrong_numbers_of_threads(threads, error, message):
    before = cf.get_num_threads()
    with pytest.raises(error, match=message):
        cf.set_num_threads(threads)
    assert cf.get_num_threads() == before
