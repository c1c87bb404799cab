"""Arrays in and out: any real dtype, layout and byte order, read in place."""

import sys

import numpy as np
import pytest

import cflows as cf
from processes import run_script

FEATURES = 3
DTYPES = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d", "g"]
ROWS = [0, 1, 15, 16, 17, 100]


@pytest.fixture(scope="module", params=["float32", "float64"])
def flow(request):
    flow = cf.realnvp(
        FEATURES, layers=2, hidden=(9,), context_features=2, dtype=request.param, seed=3
    )
    rng = np.random.default_rng(0)
    for array in flow.parameters.values():
        array[...] = rng.normal(size=array.shape) * 0.5
    return flow


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that the dtype holds exactly, and that it wraps or rounds to."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=shape) * 3).astype(dtype)


def transposed(x):
    return np.ascontiguousarray(x.T).T


def sliced(x):
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def reversed_(x):
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    y = memory.view(x.dtype).reshape(x.shape)
    y[...] = x
    assert y.size == 0 or x.itemsize == 1 or not y.flags.aligned
    return y


def record_field(x):
    records = np.zeros(x.shape[0], [("pad", "u1"), ("x", x.dtype, x.shape[1:])])
    records["x"] = x
    return records["x"]


def everything(x):
    return swapped(sliced(misaligned(x)))[::-1][::-1]


LAYOUTS = [transposed, sliced, reversed_, swapped, read_only, misaligned, record_field, everything]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_layouts_give_what_the_native_array_gives(flow, dtype, layout):
    for rows in ROWS:
        x, context = numbers(dtype, (rows, FEATURES)), numbers(dtype, (rows, 2))
        expected = flow.log_prob(x.astype(np.float64), context.astype(np.float64))
        got = flow.log_prob(layout(x), layout(context))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__.strip("_"))
def test_cotangents_and_weights_of_any_layout(flow, layout):
    x, du = numbers("d", (17, FEATURES)), numbers("d", (17, FEATURES))
    row, context = numbers("d", (17, 1)), numbers("d", (17, 2))
    expected = flow.vjp(x, du, row[:, 0], context)
    got = flow.vjp(layout(x), layout(du), layout(row)[:, 0], layout(context))
    np.testing.assert_array_equal(got.x, expected.x)
    np.testing.assert_array_equal(got.context, expected.context)
    for name in expected.parameters:
        np.testing.assert_array_equal(got.parameters[name], expected.parameters[name])
    weights = np.abs(row)
    assert (
        flow.loss_and_grad(x, context, layout(weights)[:, 0])[0]
        == (flow.loss_and_grad(x, context, weights[:, 0])[0])
    )


def test_broadcast_arrays_are_read_in_place(flow):
    x = np.broadcast_to(np.array([0.5, -1.0, 2.0]), (20, FEATURES))
    context = np.broadcast_to(0.25, (20, 2))
    np.testing.assert_array_equal(
        flow.log_prob(x, context), flow.log_prob(x.copy(), context.copy())
    )


@pytest.mark.parametrize("value", [[[1, 2.5, 3]], ((1, 2.5, 3),), [np.array([1, 2.5, 3])]])
def test_array_likes_are_taken(flow, value):
    expected = flow.log_prob(np.array([[1, 2.5, 3]]), [0.0, 1.0])
    np.testing.assert_array_equal(flow.log_prob(value, (0, True)), expected)


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_objects_with_an_array_are_taken(flow):
    x = numbers("f", (4, FEATURES))
    np.testing.assert_array_equal(
        flow.log_prob(WithArray(x), np.zeros(2)), flow.log_prob(x, np.zeros(2))
    )


def test_subclasses_and_memory_maps_are_taken(flow, tmp_path):
    x = numbers("f", (40, FEATURES))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = flow.log_prob(x, np.zeros(2))
    np.testing.assert_array_equal(flow.log_prob(mapped, np.zeros(2)), expected)
    np.testing.assert_array_equal(flow.log_prob(x.view(np.recarray), np.zeros(2)), expected)


def test_values_beyond_the_flows_dtype():
    """Integers of 64 bits pass through float64; what float32 cannot hold overflows."""
    flow = cf.Flow([cf.Affine(2.0**53)], 1, dtype="float64")
    x = np.array([[2**53 + 2]], np.int64)
    assert flow.inverse(x)[0].item() == 2.0
    assert flow.inverse(x.astype(np.uint64))[0].item() == 2.0
    assert np.isinf(cf.Flow([], 1).inverse([[1e300]])[0].item())


def test_results_own_their_memory_in_the_flows_dtype(flow):
    x, context = numbers("d", (5, FEATURES)), np.zeros(2)
    cotangents = flow.vjp(x, x, context=context)
    results = [
        *flow.forward(x, context),
        *flow.inverse(x, context),
        flow.log_prob(x, context),
        *flow.sample_and_log_prob(5, context),
        flow.sample(5, context),
        flow.grad_log_prob(x, context),
        *flow.grad_log_prob(x, context, return_log_prob=True),
        cotangents.x,
        cotangents.context,
    ]
    for result in results:
        assert type(result) is np.ndarray
        assert result.dtype == flow.dtype
        assert result.flags.writeable and result.flags.c_contiguous and result.flags.aligned
        assert not any(np.shares_memory(result, other) for other in results if other is not result)


def test_zero_rows(flow):
    x, context = np.zeros((0, FEATURES)), np.zeros((0, 2))
    for value, log_det in (flow.forward(x, context), flow.inverse(x, context)):
        assert value.shape == (0, FEATURES) and log_det.shape == (0,)
    assert flow.log_prob(x, np.zeros(2)).shape == (0,)
    assert flow.grad_log_prob(x, context).shape == (0, FEATURES)
    assert flow.sample(0, np.zeros(2)).shape == (0, FEATURES)
    assert flow.sample(0, np.zeros((4, 2))).shape == (4, 0, FEATURES)
    assert flow.sample(6, np.zeros((0, 2))).shape == (0, 6, FEATURES)
    cotangents = flow.vjp(x, x, context=np.ones(2))
    assert cotangents.x.shape == (0, FEATURES)
    np.testing.assert_array_equal(cotangents.context, np.zeros(2))
    assert not any(array.any() for array in cotangents.parameters.values())


IN_PLACE = """
import sys
import numpy as np
import cflows as cf
from memory import no_more_than

flow = cf.realnvp(8, layers=1, hidden=(4,), seed=0)
x = np.zeros((1_000_000, 8), sys.argv[1])
flow.log_prob(x[:20_000])
with no_more_than((4 << 20) + (1 << 20)):  # the result, and some; the least copy takes 16 MB
    flow.log_prob(x)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("dtype", [">i2", "float16", "float32", "float64"])
def test_no_copy_of_the_whole_input(tmp_path, dtype):
    run_script(tmp_path, IN_PLACE, dtype)
