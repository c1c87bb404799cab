"""The matrix kernels of `csrc/simd/matmul.h` against more precise sums, and exactly where they
promise exactness.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from c_build import DTYPES, SANITIZED, SIMD_LEVELS, program, shared_library, simd_levels

SIZES = (0, 1, 2, 6, 7, 16, 17, 64, 130)
MASK_SIZES = (0, 1, 6, 7, 17, 65, 130)  # of masks
MASK_FORMS = ("random", "repeated", "diagonal", "jump", "none", "all")  # BlockMask.draw
LARGE = ((300, 200), (300, 449), (600, 140))  # weights so far apart that inputs are taken in passes
LANES = (16, 32, 64, 128, 256)
GUARD = 64  # numbers before and after every array that a kernel writes
SOURCES = tuple(
    f"csrc/simd/matmul_{part}.c"
    for part in ("linear", "by_output", "narrow", "one_sample", "outer", "dots")
)

Array = np.ndarray

EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *4 * [ctypes.c_size_t])


class LinearArgs(ctypes.Structure):
    _fields_ = [
        ("outputs", ctypes.c_size_t),
        ("inputs", ctypes.c_size_t),
        ("lanes", ctypes.c_size_t),
        ("weight", ctypes.c_void_p),
        ("output_stride", ctypes.c_size_t),
        ("input_stride", ctypes.c_size_t),
        ("begin", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("x_rows", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("x_step", ctypes.c_size_t),
        ("y_step", ctypes.c_size_t),
        ("relu", ctypes.c_bool),
        ("epilogue", EPILOGUE),
        ("epilogue_context", ctypes.c_void_p),
        ("one_sample", ctypes.c_bool),
    ]


class OuterSumArgs(ctypes.Structure):
    _fields_ = [
        ("outputs", ctypes.c_size_t),
        ("inputs", ctypes.c_size_t),
        ("lanes", ctypes.c_size_t),
        ("slices", ctypes.c_size_t),
        ("slice_bytes", ctypes.c_size_t),
        ("dy", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("dy_rows", ctypes.c_void_p),
        ("x_rows", ctypes.c_void_p),
        ("step", ctypes.c_size_t),
        ("dw", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("accumulate", ctypes.c_bool),
        ("mask", ctypes.c_void_p),
    ]


class BlockMaskArgs(ctypes.Structure):
    _fields_ = [
        ("outputs", ctypes.c_size_t),
        ("inputs", ctypes.c_size_t),
        ("end", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
    ]


@dataclass(frozen=True)
class BlockMask:
    """Ends by output, and by input the first output that reads it."""

    end: np.ndarray
    first: np.ndarray
    inside: np.ndarray  # [outputs, inputs]

    @classmethod
    def draw(cls, rng: np.random.Generator, form: str, outputs: int, inputs: int) -> BlockMask:
        """Steps anywhere, of three outputs, of one, or a single one; or no number, or all."""
        o = np.arange(outputs)
        anywhere = np.sort(rng.integers(0, inputs + 1, outputs))
        end = {
            "random": anywhere,
            "repeated": anywhere[o // 3 * 3],
            "diagonal": np.minimum(o, inputs),
            "jump": np.where(2 * o < outputs, 0, inputs),
            "none": np.zeros_like(o),
            "all": np.full_like(o, inputs),
        }[form].astype(np.uint32)
        inside = np.arange(inputs) < end[:, None]
        first = np.searchsorted(end, np.arange(inputs), side="right").astype(np.uint32)
        return cls(end, first, inside)

    def args(self) -> BlockMaskArgs:
        outputs, inputs = self.inside.shape
        return BlockMaskArgs(outputs, inputs, self.end.ctypes.data, self.first.ctypes.data)


@dataclass(frozen=True)
class Kernels:
    """Both kernels at one level, for one dtype."""

    level: int
    dtype: np.dtype

    def _call(self, name: str, args: ctypes.Structure) -> None:
        library = shared_library(SOURCES)
        table = (ctypes.c_void_p * (2 * len(SIMD_LEVELS))).in_dll(library, f"cf_{name}")
        kernel = table[2 * self.level + DTYPES.index(self.dtype.name)]
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel)(ctypes.addressof(args))

    @property
    def fused(self) -> bool:
        return self.level > 0

    def gamma(self, terms: int) -> float:
        """The error of a sum of so many products, over the sum of their absolute values."""
        u = float(np.finfo(self.dtype).eps) / 2
        return terms * u / (1 - terms * u)

    def linear(self, case: Linear) -> Array:
        y = Guarded((case.outputs, case.lanes), self.dtype)
        args = LinearArgs(
            outputs=case.outputs,
            inputs=case.inputs,
            lanes=case.lanes,
            weight=case.weight.ctypes.data,
            output_stride=case.weight.strides[0] // self.dtype.itemsize,
            input_stride=case.weight.strides[1] // self.dtype.itemsize,
            begin=None if case.begin is None else case.begin.ctypes.data,
            end=None if case.end is None else case.end.ctypes.data,
            bias=None if case.bias is None else case.bias.ctypes.data,
            x=case.x.ctypes.data,
            x_rows=case.x_rows.ctypes.data,
            y=y.array.ctypes.data,
            relu=case.relu,
            one_sample=case.one_sample,
        )
        if case.calls is not None:
            args.epilogue = EPILOGUE(
                lambda context, first, count, lane, width: case.calls.append(
                    (first, lane, y.array[first : first + count, lane : lane + width].copy())
                )
            )
        before = [a.copy() for a in case.operands()]
        self._call("linear", args)
        for a, b in zip(case.operands(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        return y.checked()

    def outer_sum(self, case: Outer) -> Array:
        dw = Guarded((case.outputs, case.inputs), self.dtype)
        dw.array[...] = case.dw
        size = shared_library(SOURCES).cf_outer_sum_scratch
        size.restype = ctypes.c_size_t
        size.argtypes = [ctypes.c_size_t] * 3 + [ctypes.c_int]
        count = size(case.outputs, case.inputs, case.lanes, DTYPES.index(self.dtype.name))
        scratch = Guarded((count // self.dtype.itemsize,), self.dtype)
        scratch.array[...] = np.nan
        args = OuterSumArgs(
            outputs=case.outputs,
            inputs=case.inputs,
            lanes=case.lanes,
            slices=len(case.memory),
            slice_bytes=case.memory.strides[0],
            dy=case.memory.ctypes.data,
            x=case.memory.ctypes.data,
            dy_rows=case.dy_rows.ctypes.data,
            x_rows=case.x_rows.ctypes.data,
            dw=dw.array.ctypes.data,
            scratch=scratch.array.ctypes.data,
            accumulate=case.accumulate,
        )
        mask = None if case.mask is None else case.mask.args()
        if mask is not None:
            args.mask = ctypes.addressof(mask)
        self._call("outer_sum", args)
        scratch.checked()
        return dw.checked()


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Uninitialised, aligned as the kernels' operands are."""
    count = math.prod(shape) * dtype.itemsize
    buffer = np.empty(count + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + count].view(dtype).reshape(shape)


class Guarded:
    """An array to be written, between guards that must not be."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        count = math.prod(shape)
        self._all = aligned((count + 2 * GUARD,), dtype)
        self._all[:] = 12345
        self.array = self._all[GUARD : GUARD + count].reshape(shape)

    def checked(self) -> Array:
        assert (self._all[:GUARD] == 12345).all(), "written before the array"
        assert (self._all[self._all.size - GUARD :] == 12345).all(), "written past the array"
        return self.array


def more_precise(dtype: np.dtype, integers: bool) -> type[np.floating]:
    """A dtype for references; sums of small integers need none wider than float64."""
    return np.float64 if integers or dtype == np.float32 else np.longdouble


def absolute(values: Array) -> Array:
    """For the size of an error, which need not be more precise."""
    return np.abs(values).astype(np.float64)


def rows_among_others(rng: np.random.Generator, values: Array) -> tuple[Array, Array]:
    """A base with the rows of `values` in disorder among rows of NaN, and their numbers, one of
    them twice."""
    count, lanes = values.shape
    base = aligned((count + 3, lanes), values.dtype)
    base[...] = np.nan
    numbers = rng.permutation(count + 3)[:count].astype(np.uint32)
    if count > 2:
        numbers[count // 2] = numbers[0]
    base[numbers] = values
    return base, numbers


@dataclass
class Linear:
    """One call of cf_linear; `by_output`: weights are contiguous in the outputs."""

    outputs: int
    inputs: int
    lanes: int
    dtype: np.dtype
    by_output: bool
    biased: bool = True
    relu: bool = False
    one_sample: bool = False
    integers: bool = False
    calls: list[tuple[int, int, Array]] | None = None
    seed: int = 0
    mask_form: str | None = None  # form of the mask that the weight is
    transposed: bool = False  # its limits are `begin` then, not `end`
    padding: int = 0  # numbers between the rows of the weight
    begin: Array | None = field(init=False, default=None)
    end: Array | None = field(init=False, default=None)
    weight: Array = field(init=False)
    bias: Array | None = field(init=False)
    x: Array = field(init=False)
    x_rows: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, self.outputs, self.inputs, self.lanes])
        self.weight = self._draw(rng, (self.outputs, self.inputs))
        if self.mask_form is not None:
            self._add_mask(rng, self.mask_form)
        if self.by_output:
            self.weight = np.ascontiguousarray(self.weight.T).T
        if self.padding > 0:
            self._pad()
        bias = self._draw(rng, (self.outputs,))
        self.bias = bias if self.biased else None
        values = self._draw(rng, (self.inputs, 1 if self.one_sample else self.lanes))
        values = np.broadcast_to(values, (self.inputs, self.lanes))
        self.x, self.x_rows = rows_among_others(rng, values)

    def _add_mask(self, rng: np.random.Generator, form: str) -> None:
        """Weights outside are NaN: nobody reads them."""
        if self.transposed:
            mask = BlockMask.draw(rng, form, self.inputs, self.outputs)
            self.begin, inside = mask.first, mask.inside.T
        else:
            mask = BlockMask.draw(rng, form, self.outputs, self.inputs)
            self.end, inside = mask.end, mask.inside
        self.weight[~inside] = np.nan

    def fill(self) -> None:
        """Zeros outside the mask, and no limits any more."""
        self.weight[np.isnan(self.weight)] = 0
        self.begin = self.end = None

    def _pad(self) -> None:
        rows = self.weight.T if self.by_output else self.weight
        wide = np.full((len(rows), rows.shape[1] + self.padding), np.nan, self.dtype)
        wide[:, : rows.shape[1]] = rows
        narrow = wide[:, : rows.shape[1]]
        self.weight = narrow.T if self.by_output else narrow

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if self.integers:
            return rng.integers(-8, 9, shape).astype(self.dtype)
        return rng.standard_normal(shape).astype(self.dtype)

    def operands(self) -> list[Array]:
        return [self.weight, self.x, self.x_rows] + ([] if self.bias is None else [self.bias])

    def exact(self) -> tuple[Array, Array]:
        """The result more precisely, and the sum of absolute values that bounds its error."""
        precise = more_precise(self.dtype, self.integers)
        weight = self.weight if self.mask_form is None else np.nan_to_num(self.weight)
        w, x = weight.astype(precise), self.x[self.x_rows].astype(precise)
        bias = np.zeros(self.outputs) if self.bias is None else self.bias
        b = bias.astype(precise)[:, None]
        y, size = w @ x + b, absolute(w) @ absolute(x) + absolute(b)
        return np.maximum(y, 0) if self.relu else y, size


@dataclass
class Outer:
    """One call of cf_outer_sum; both operands lie in disorder in slices that hold NaN besides."""

    outputs: int
    inputs: int
    lanes: int
    dtype: np.dtype
    accumulate: bool
    slices: int = 1
    integers: bool = False
    mask_form: str | None = None  # form of the mask
    mask: BlockMask | None = field(init=False, default=None)
    dw: Array = field(init=False)
    memory: Array = field(init=False)  # (slices, rows, lanes)
    dy_rows: Array = field(init=False)
    x_rows: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.outputs, self.inputs, self.lanes, self.slices])
        self.dw = self._draw(rng, (self.outputs, self.inputs))
        if not self.accumulate:
            self.dw[...] = np.nan
        if self.mask_form is not None:
            self.mask = BlockMask.draw(rng, self.mask_form, self.outputs, self.inputs)
            if self.accumulate:  # what earlier calls left
                self.dw[~self.mask.inside] = 0
        count = self.outputs + self.inputs
        self.place(rng, self._draw(rng, (self.slices, count, self.lanes)))
        for rows in self.dy_rows, self.x_rows:
            if len(rows) > 2:
                rows[len(rows) // 2] = rows[0]

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        values = rng.integers(-8, 9, shape) if self.integers else rng.standard_normal(shape)
        return values.astype(self.dtype)

    def place(self, rng: np.random.Generator, values: Array) -> None:
        """Puts dy and x, one below the other, into new memory."""
        slices, count, lanes = values.shape
        self.memory = aligned((slices, count + 3, lanes), self.dtype)
        self.memory[...] = np.nan
        rows = rng.permutation(count + 3)[:count].astype(np.uint32)
        self.dy_rows, self.x_rows = rows[: self.outputs], rows[self.outputs :]
        self.memory[:, rows] = values

    def exact(self) -> tuple[Array, Array]:
        precise = more_precise(self.dtype, self.integers)
        samples = self.memory.astype(precise).transpose(1, 0, 2).reshape(self.memory.shape[1], -1)
        dy, x = samples[self.dy_rows], samples[self.x_rows]
        dw = self.dw.astype(precise) if self.accumulate else precise(0)
        inside = 1 if self.mask is None else self.mask.inside
        size = absolute(dw) + absolute(dy) @ absolute(x).T * inside
        return dw + dy @ x.T * inside, size


@pytest.fixture(
    params=itertools.product(simd_levels(), DTYPES),
    ids=lambda p: f"{SIMD_LEVELS[p[0]]}-{p[1]}",
    scope="module",
)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    level, dtype = request.param
    return Kernels(level, np.dtype(dtype))


by_lanes = pytest.mark.parametrize("lanes", LANES)
by_layout = pytest.mark.parametrize("by_output", [False, True], ids=["by input", "by output"])
by_use = pytest.mark.parametrize("transposed", [False, True], ids=["end", "begin"])


def shapes() -> Iterator[tuple[int, int]]:
    yield from itertools.product(SIZES, SIZES)
    yield from LARGE


def mask_shapes() -> Iterator[tuple[int, int]]:
    yield from itertools.product(MASK_SIZES, MASK_SIZES)
    yield LARGE[1]


# -- cf_linear -- #


@by_lanes
@by_layout
def test_linear_finds_every_number(kernels: Kernels, lanes: int, by_output: bool) -> None:
    """Sums of small integers are exact, so that each number of each operand counts."""
    for outputs, inputs in shapes():
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, integers=True)
        np.testing.assert_array_equal(kernels.linear(case), case.exact()[0])


@by_lanes
@by_layout
def test_linear_error(kernels: Kernels, lanes: int, by_output: bool) -> None:
    """Higham's bound for a chain from the bias on: a rounding for each input, two if not fused."""
    for outputs, inputs in shapes():
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output)
        exact, absolute = case.exact()
        bound = kernels.gamma(inputs + (0 if kernels.fused else 1)) * absolute
        assert (np.abs(kernels.linear(case) - exact) <= bound).all()


@by_lanes
@by_layout
@by_use
def test_linear_reads_a_block_mask_and_nothing_beyond(
    kernels: Kernels, lanes: int, by_output: bool, transposed: bool
) -> None:
    for (outputs, inputs), mask_form in itertools.product(mask_shapes(), MASK_FORMS):
        options = {"integers": True, "mask_form": mask_form, "transposed": transposed}
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, **options)
        np.testing.assert_array_equal(kernels.linear(case), case.exact()[0])


@by_layout
@by_use
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_a_block_mask_is_the_chain_with_zeros(
    kernels: Kernels, by_output: bool, transposed: bool, one_sample: bool
) -> None:
    """Bit for bit: leaving a product with 0 out does not change a sum."""
    for (outputs, inputs), mask_form in itertools.product(mask_shapes(), MASK_FORMS):
        options = {"mask_form": mask_form, "transposed": transposed, "one_sample": one_sample}
        case = Linear(outputs, inputs, 64, kernels.dtype, by_output, **options)
        sums = kernels.linear(case)
        case.fill()
        np.testing.assert_array_equal(sums, kernels.linear(case))


@by_layout
@by_use
def test_a_block_mask_does_not_depend_on_the_tile(
    kernels: Kernels, by_output: bool, transposed: bool
) -> None:
    """Not on the number of lanes, nor on where an output lies, to the last bit."""
    for (outputs, inputs), mask_form in itertools.product(
        ((31, 17), (130, 65), *LARGE), MASK_FORMS[:4]
    ):
        options = {"mask_form": mask_form, "transposed": transposed}
        case = Linear(outputs, inputs, 256, kernels.dtype, by_output, **options)
        whole, samples = kernels.linear(case), case.x.copy()
        for lanes in LANES:
            case.lanes, case.x = lanes, aligned((samples.shape[0], lanes), kernels.dtype)
            case.x[...] = samples[:, -lanes:]
            np.testing.assert_array_equal(kernels.linear(case), whole[:, -lanes:])
        assert case.bias is not None
        weight, bias, begin, end = case.weight, case.bias, case.begin, case.end
        for first in range(0, outputs, 11):
            case.weight, case.bias, case.outputs = weight[first:], bias[first:], outputs - first
            case.begin = None if begin is None else begin[first:]
            case.end = None if end is None else end[first:]
            np.testing.assert_array_equal(kernels.linear(case), whole[first:, -LANES[-1] :])


@by_layout
@by_use
def test_what_follows_the_sums_of_a_block_mask(
    kernels: Kernels, by_output: bool, transposed: bool
) -> None:
    """The maximum with 0, the epilogue, and a bias that is not there."""
    for (outputs, inputs), mask_form in itertools.product(((7, 5), (130, 65), *LARGE), MASK_FORMS):
        options = {"integers": True, "mask_form": mask_form, "transposed": transposed}
        for biased, relu in itertools.product((False, True), (False, True)):
            case = Linear(
                outputs, inputs, 32, kernels.dtype, by_output, biased, relu, calls=[], **options
            )
            y = kernels.linear(case)
            np.testing.assert_array_equal(y, case.exact()[0])
            assert case.calls is not None
            assert sum(seen.size for *_, seen in case.calls) == y.size
            for first, lane, seen in case.calls:
                place = np.s_[first : first + seen.shape[0], lane : lane + seen.shape[1]]
                np.testing.assert_array_equal(seen, y[place])


@by_layout
@pytest.mark.parametrize("lanes", [16, 64])
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_linear_takes_rows_apart(
    kernels: Kernels, by_output: bool, lanes: int, one_sample: bool
) -> None:
    for (outputs, inputs), mask_form in itertools.product(mask_shapes(), (None, "random")):
        if 0 in (outputs, inputs):
            continue
        options = {
            "mask_form": mask_form,
            "transposed": by_output,
            "one_sample": one_sample,
            "padding": 5,
        }
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, integers=True, **options)
        np.testing.assert_array_equal(kernels.linear(case), case.exact()[0])


def rounded(exact: Fraction, dtype: np.dtype) -> float:
    """The nearest number of the dtype, the even one of two."""
    near = dtype.type(float(exact))
    candidates = [near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf)]
    bits = np.array(candidates).view(f"u{dtype.itemsize}")
    errors = [abs(Fraction(float(c)) - exact) for c in candidates]
    return float(candidates[min(range(3), key=lambda i: (errors[i], bits[i] & 1))])


@by_layout
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_linear_is_a_chain_from_the_bias_in_ascending_order(
    kernels: Kernels, by_output: bool, one_sample: bool
) -> None:
    for (outputs, inputs), lanes in itertools.product([(7, 5), (40, 67), *LARGE], (16, 64)):
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, one_sample=one_sample)
        y = kernels.linear(case)
        assert case.bias is not None
        for o, lane in ((0, 0), (outputs // 2, lanes - 1), (outputs - 1, lanes // 2)):
            total = Fraction(float(case.bias[o]))
            for w, x in zip(case.weight[o], case.x[case.x_rows, lane], strict=True):
                product = Fraction(float(w)) * Fraction(float(x))
                if not kernels.fused:
                    product = Fraction(rounded(product, kernels.dtype))
                total = Fraction(rounded(product + total, kernels.dtype))
            assert y[o, lane] == float(total)


@by_layout
def test_linear_does_not_depend_on_the_tile(kernels: Kernels, by_output: bool) -> None:
    """Not on the number of lanes, nor on where a sample or an output lies, to the last bit."""
    for outputs, inputs in itertools.chain(itertools.product((1, 7, 31, 130), SIZES), LARGE):
        case = Linear(outputs, inputs, 256, kernels.dtype, by_output)
        whole = kernels.linear(case)
        samples = case.x.copy()
        for lanes in LANES:
            for first in range(0, 256, 96):
                lane = np.arange(first, first + lanes) % 256
                case.lanes, case.x = lanes, aligned((samples.shape[0], lanes), kernels.dtype)
                case.x[...] = samples[:, lane]
                np.testing.assert_array_equal(kernels.linear(case), whole[:, lane])


def test_linear_layouts_agree(kernels: Kernels) -> None:
    """Both layouts, and any part of the outputs, to the last bit."""
    for outputs, inputs in ((31, 17), (130, 65), *LARGE):
        cases = [Linear(outputs, inputs, 64, kernels.dtype, layout) for layout in (False, True)]
        whole = kernels.linear(cases[0])
        np.testing.assert_array_equal(kernels.linear(cases[1]), whole)
        case = cases[0]
        assert case.bias is not None
        weight, bias = case.weight, case.bias
        for first in range(0, outputs, 11):
            case.weight, case.bias, case.outputs = weight[first:], bias[first:], outputs - first
            np.testing.assert_array_equal(kernels.linear(case), whole[first:])


@by_lanes
@by_layout
def test_one_sample_is_one_of_many(kernels: Kernels, lanes: int, by_output: bool) -> None:
    for (outputs, inputs), relu in itertools.product(shapes(), (False, True)):
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, relu=relu, one_sample=True)
        one = kernels.linear(case)
        case.one_sample = False
        np.testing.assert_array_equal(one, kernels.linear(case))


@by_layout
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_linear_without_bias(kernels: Kernels, by_output: bool, one_sample: bool) -> None:
    for outputs, inputs in itertools.product(SIZES, SIZES):
        options = {"integers": True, "one_sample": one_sample, "biased": False}
        case = Linear(outputs, inputs, 64, kernels.dtype, by_output, **options)
        np.testing.assert_array_equal(kernels.linear(case), case.exact()[0])


@by_lanes
@by_layout
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_relu(kernels: Kernels, lanes: int, by_output: bool, one_sample: bool) -> None:
    for outputs, inputs in ((1, 3), (17, 31), (130, 64), *LARGE):
        case = Linear(outputs, inputs, lanes, kernels.dtype, by_output, one_sample=one_sample)
        y = kernels.linear(case)
        case.relu = True
        np.testing.assert_array_equal(kernels.linear(case), np.maximum(y, 0))


@by_layout
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_what_is_not_finite_stays_in_its_lane(
    kernels: Kernels, by_output: bool, one_sample: bool
) -> None:
    case = Linear(20, 33, 64, kernels.dtype, by_output, relu=True)
    expected = kernels.linear(case)
    bad = range(64) if one_sample else (0, 17, 63)
    case.one_sample = one_sample
    for value in (np.nan, np.inf):
        case.x[case.x_rows[4], list(bad)] = value
        y = kernels.linear(case)
        good = np.setdiff1d(np.arange(64), bad)
        np.testing.assert_array_equal(y[:, good], expected[:, good])
        wrong = case.exact()[0].astype(kernels.dtype)[:, 0 if one_sample else 17]
        np.testing.assert_array_equal(y[:, 17] if not one_sample else y[:, 0], wrong)


@by_lanes
@by_layout
@pytest.mark.parametrize("one_sample", [False, True], ids=["samples", "one sample"])
def test_epilogue_sees_every_number_once_and_finished(
    kernels: Kernels, lanes: int, by_output: bool, one_sample: bool
) -> None:
    for outputs, inputs in itertools.chain(itertools.product(SIZES, (0, 1, 31)), LARGE):
        case = Linear(
            outputs, inputs, lanes, kernels.dtype, by_output, one_sample=one_sample, calls=[]
        )
        y = kernels.linear(case)
        times = np.zeros(y.shape, int)
        assert case.calls is not None
        for first, lane, seen in case.calls:
            place = np.s_[first : first + seen.shape[0], lane : lane + seen.shape[1]]
            assert y[place].shape == seen.shape
            np.testing.assert_array_equal(seen, y[place])
            times[place] += 1
        assert (times == 1).all()


# -- cf_outer_sum -- #


by_slices = pytest.mark.parametrize(
    ("lanes", "slices"), [(16, 1), (32, 3), (64, 1), (64, 2), (64, 4)]
)


@by_slices
@pytest.mark.parametrize("accumulate", [False, True])
def test_outer_sum_finds_every_number(
    kernels: Kernels, lanes: int, slices: int, accumulate: bool
) -> None:
    for outputs, inputs in itertools.product(SIZES, SIZES):
        case = Outer(outputs, inputs, lanes, kernels.dtype, accumulate, slices, integers=True)
        np.testing.assert_array_equal(kernels.outer_sum(case), case.exact()[0])


@by_slices
@pytest.mark.parametrize("accumulate", [False, True])
def test_outer_sum_error(kernels: Kernels, lanes: int, slices: int, accumulate: bool) -> None:
    """The bound of sums in any order."""
    for outputs, inputs in itertools.product(SIZES, SIZES):
        case = Outer(outputs, inputs, lanes, kernels.dtype, accumulate, slices)
        exact, absolute = case.exact()
        error = np.abs(kernels.outer_sum(case) - exact)
        assert (error <= kernels.gamma(lanes * slices + accumulate) * absolute).all()


def test_outer_sum_is_deterministic(kernels: Kernels) -> None:
    """To the last bit, whatever the scratch held and wherever the rows lie."""
    for outputs, inputs in ((3, 40), (64, 21), (65, 65), (130, 7)):
        case = Outer(outputs, inputs, 64, kernels.dtype, accumulate=False, slices=2)
        expected = kernels.outer_sum(case)
        rows = np.concatenate([case.dy_rows, case.x_rows])
        case.place(np.random.default_rng(1), case.memory[:, rows])
        np.testing.assert_array_equal(kernels.outer_sum(case), expected)


@by_slices
@pytest.mark.parametrize("accumulate", [False, True])
def test_outer_sum_is_0_outside_a_block_mask(
    kernels: Kernels, lanes: int, slices: int, accumulate: bool
) -> None:
    for (outputs, inputs), mask_form in itertools.product(mask_shapes(), MASK_FORMS):
        options = {"integers": True, "mask_form": mask_form}
        case = Outer(outputs, inputs, lanes, kernels.dtype, accumulate, slices, **options)
        dw = kernels.outer_sum(case)
        np.testing.assert_array_equal(dw, case.exact()[0])
        assert case.mask is not None and not dw[~case.mask.inside].any()


@pytest.mark.parametrize("accumulate", [False, True])
def test_outer_sum_inside_a_block_mask_is_that_of_the_whole(
    kernels: Kernels, accumulate: bool
) -> None:
    """To the last bit, so that the bound of its error is, too; and again onto its own result."""
    for (outputs, inputs), mask_form in itertools.product(mask_shapes(), MASK_FORMS):
        case = Outer(outputs, inputs, 64, kernels.dtype, accumulate, 2, mask_form=mask_form)
        assert case.mask is not None
        inside, mask = case.mask.inside, case.mask
        for _ in range(2):
            case.mask = mask
            dw = kernels.outer_sum(case)
            case.mask = None
            np.testing.assert_array_equal(dw[inside], kernels.outer_sum(case)[inside])
            assert not dw[~inside].any()
            case.accumulate, case.dw = True, dw


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outer_sum_of_what_is_not_finite_stays_inside(
    kernels: Kernels, slices: int, value: float
) -> None:
    for (outputs, inputs), mask_form in itertools.product(
        ((7, 9), (40, 65), (130, 17)), MASK_FORMS
    ):
        case = Outer(outputs, inputs, 32, kernels.dtype, False, slices, mask_form=mask_form)
        assert case.mask is not None
        rows = np.concatenate([case.dy_rows, case.x_rows])
        dw, inside = kernels.outer_sum(case), case.mask.inside
        for bad in (case.dy_rows[0], case.dy_rows[-1], case.x_rows[0], case.x_rows[-1]):
            kept = case.memory[-1, bad].copy()
            case.memory[-1, bad, 5] = value
            touched = (case.dy_rows == bad)[:, None] | (case.x_rows == bad)
            found = kernels.outer_sum(case)
            assert not np.isfinite(found[touched & inside]).any()
            np.testing.assert_array_equal(found[~touched], dw[~touched])
            assert not found[~inside].any()
            case.memory[-1, bad] = kept
        assert np.isfinite(case.memory[:, rows]).all()


# -- Memory -- #


def test_nothing_outside_the_operands_is_touched() -> None:
    """With the address sanitizer; every operand is an allocation of its own, of its exact size."""
    path = program(["tests/c/test_matmul.c", *SOURCES], SANITIZED)
    for level in simd_levels():
        done = subprocess.run([path, str(level)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
