"""Optimisers step by step, against NumPy's arithmetic of the papers' algorithms.

To add one, add its algorithm, and an entry in `REFERENCES`.
"""

import ctypes
import inspect
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from c_build import DTYPES, ROOT, SIMD_LEVELS, shared_library, simd_levels

FOLDERS = ("base", "simd", "train/optimizers", "train/schedules")
SOURCES = [
    "tests/c/optimizer_steps.c",
    *sorted(
        str(path.relative_to(ROOT))
        for name in FOLDERS
        for path in (ROOT / "csrc" / name).glob("*.c")
    ),
]

FLAGS = ("-O1", f"-I{ROOT / 'tests' / 'c'}")  # those of test_core.py, whose objects these are


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """One at each level: it is chosen once, when a copy of the library is first used."""
    built, copies, before = shared_library(SOURCES, FLAGS), {}, os.environ.get("CFLOWS_SIMD")
    try:
        for level in simd_levels():
            path = tmp_path_factory.mktemp("optimizers") / f"{SIMD_LEVELS[level]}.so"
            shutil.copy(built._name, path)
            os.environ["CFLOWS_SIMD"] = SIMD_LEVELS[level]
            copies[level] = ctypes.CDLL(str(path))
            assert copies[level].cf_simd() == level
    finally:
        os.environ.pop("CFLOWS_SIMD")
        if before is not None:
            os.environ["CFLOWS_SIMD"] = before
    for library in copies.values():
        library.harness_new.restype = ctypes.c_void_p
        library.harness_add.restype = ctypes.c_size_t
        library.harness_norm.restype = ctypes.c_double
        library.harness_array.restype = ctypes.c_char_p
        library.cf_message.restype = ctypes.c_char_p
    return copies


def pointer(array):
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def spec_arguments(name, options):
    names = [option.encode() for option in options]
    numbers = [0.0 if isinstance(value, str) else float(value) for value in options.values()]
    strings = [value.encode() if isinstance(value, str) else None for value in options.values()]
    count, texts = len(options), ctypes.c_char_p * len(options)
    reals = (ctypes.c_double * count)(*numbers)
    return name.encode(), ctypes.c_size_t(count), texts(*names), reals, texts(*strings)


class Stepper:
    """An optimiser of the core, and its parameters by name."""

    def __init__(self, library, name, options, tensors, dtype, threads=1):
        """`tensors`: name -> (first value, frozen, row_ends or None)."""
        self.library, self.kept, places = library, [], {}
        self.handle = ctypes.c_void_p(library.harness_new())
        for key, (value, frozen, row_ends) in tensors.items():
            shape = (ctypes.c_size_t * value.ndim)(*value.shape)
            text = ctypes.c_char_p(key.encode())
            ends = None if row_ends is None else np.asarray(row_ends, np.uint32)
            self.kept += [text, ends]
            places[key] = library.harness_add(
                *(self.handle, text, ctypes.c_size_t(value.ndim), shape, frozen, pointer(ends))
            )
        self.places = {key: (at, tensors[key][0].shape) for key, at in places.items()}
        elements = max(at + tensors[key][0].size for key, at in places.items())
        self.slab, self.gradients = np.zeros(elements, dtype), np.zeros(elements, dtype)
        self.parameters = self.named(self.slab)
        for key, (value, *_) in tensors.items():
            self.parameters[key][...] = value
        arguments = spec_arguments(name, options)
        status = library.harness_start(self.handle, *arguments, DTYPES.index(dtype), threads)
        assert status == 0, library.cf_message()
        self.number = 0

    def named(self, slab):
        return {
            key: slab[at : at + int(np.prod(shape))].reshape(shape)
            for key, (at, shape) in self.places.items()
        }

    def norm(self, gradients):
        for key, view in self.named(self.gradients).items():
            view[...] = gradients[key]
        return self.library.harness_norm(self.handle, pointer(self.gradients))

    def step(self, gradients, schedule=1.0, clip=1.0):
        self.norm(gradients)
        self.number += 1
        numbers = ctypes.c_double(schedule), ctypes.c_double(clip)
        slabs = pointer(self.gradients), pointer(self.slab)
        self.library.harness_step(self.handle, ctypes.c_uint64(self.number), *numbers, *slabs)

    def arrays(self):
        found = {}
        for i in range(9):
            data = ctypes.c_void_p()
            name = self.library.harness_array(self.handle, ctypes.c_size_t(i), ctypes.byref(data))
            if name is None:
                return found
            of_type = ctypes.POINTER(np.ctypeslib.as_ctypes_type(self.slab.dtype))
            numbers = np.ctypeslib.as_array(ctypes.cast(data, of_type), self.slab.shape)
            found[name.decode()] = self.named(numbers)
        raise AssertionError("no end of arrays")

    def close(self):
        self.library.harness_free(self.handle)


# -- the papers' algorithms: state is a dict, empty at first; t counts from 1 -- #


def adam(p, g, t, s, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    """Kingma and Ba 2015, arXiv:1412.6980, algorithm 1."""
    g = g + weight_decay * p
    m, v = moments(g, s, beta1, beta2)
    return p - learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def moments(g, s, beta1, beta2):
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
    return s["m"], s["v"]


def adamw(p, g, t, s, learning_rate=1e-3, weight_decay=0.01, **options):
    """Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2, line 12."""
    return adam(p, g, t, s, learning_rate, **options) - learning_rate * weight_decay * p


def radam(p, g, t, s, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    """Liu et al. 2020, arXiv:1908.03265, algorithm 2, with the code's bound of 5."""
    m, v = moments(g + weight_decay * p, s, beta1, beta2)
    m = m / (1 - beta1**t)
    rho_max = 2 / (1 - beta2) - 1
    rho = rho_max - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 5:
        return p - learning_rate * m
    r = np.sqrt((rho - 4) * (rho - 2) * rho_max / ((rho_max - 4) * (rho_max - 2) * rho))
    return p - learning_rate * r * m / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def sgd(p, g, t, s, learning_rate=1e-2, momentum=0.0, weight_decay=0.0):
    """Sutskever et al. 2013, the rate outside of the momentum."""
    s["m"] = momentum * s.get("m", 0.0) + g + weight_decay * p
    return p - learning_rate * s["m"]


def lion(p, g, t, s, learning_rate=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2."""
    m = s.get("m", np.zeros_like(p))
    c = beta1 * m + (1 - beta1) * g
    s["m"] = beta2 * m + (1 - beta2) * g
    return p - learning_rate * (np.sign(c) + weight_decay * p)


def newton_schulz(x, iterations):
    """Jordan 2024: zeropower_via_newtonschulz5, and as torch.optim.Muon has it."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / max(np.linalg.norm(x), 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def muon(
    p,
    g,
    t,
    s,
    learning_rate=0.02,
    momentum=0.95,
    weight_decay=0.0,
    nesterov=True,
    iterations=5,
    adjust="original",
    **others,
):
    """torch.optim.Muon (2.9), of a matrix; the other options are AdamW's, of the rest."""
    del others
    matrix = g.reshape(len(g), -1)
    s["m"] = momentum * s.get("m", 0.0) + (1 - momentum) * matrix
    update = momentum * s["m"] + (1 - momentum) * matrix if nesterov else s["m"]
    rows, columns = matrix.shape
    factor = max(1, rows / columns) ** 0.5
    if adjust == "match_rms_adamw":
        factor = 0.2 * max(rows, columns) ** 0.5
    step = factor * newton_schulz(update, iterations).reshape(p.shape)
    return p * (1 - learning_rate * weight_decay) - learning_rate * step


def muon_of(name, p, options):
    """Muon's function for a parameter of that name, and its options."""
    if name.endswith("weight") and p.ndim >= 2 and min(len(p), p.size // len(p)) >= 2:
        return muon, dict(options)
    prefix = "adam_"
    own = {key.removeprefix(prefix): value for key, value in options.items() if prefix in key}
    return adamw, {"learning_rate": 1e-3, "weight_decay": 0.0, **own}


@dataclass(frozen=True)
class Reference:
    """An optimiser: its step in NumPy, what the core calls its state, and options to test."""

    step: Callable[..., np.ndarray]
    state: dict[str, str]
    options: dict[str, Any]


MOMENTS = {"first_moment": "m", "second_moment": "v"}
MOMENTUM = {"momentum": "m"}
REFERENCES = {
    "Adam": Reference(
        adam,
        MOMENTS,
        {"learning_rate": 0.01, "beta1": 0.7, "beta2": 0.95, "weight_decay": 0.1},
    ),
    "AdamW": Reference(
        adamw, MOMENTS, {"learning_rate": 0.02, "weight_decay": 0.3, "epsilon": 1e-3}
    ),
    "RAdam": Reference(radam, MOMENTS, {"learning_rate": 0.01, "beta2": 0.99, "weight_decay": 0.1}),
    "SGD": Reference(sgd, MOMENTUM, {"learning_rate": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    "Lion": Reference(
        lion,
        MOMENTUM,
        {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.3},
    ),
    "Muon": Reference(
        muon,
        {"momentum": "m", "second_moment": "v"},
        {
            **{"learning_rate": 0.1, "momentum": 0.7, "weight_decay": 0.2, "nesterov": False},
            **{"adjust": "match_rms_adamw", "iterations": 3, "adam_learning_rate": 0.05},
            **{"adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-4},
            **{"adam_weight_decay": 0.1},
        },
    ),
}
CASES = [(name, options) for name, one in REFERENCES.items() for options in ({}, one.options)]
SHAPES = {
    "a.weight": (5, 7),
    "a.bias": (5,),
    "b.weight": (37, 18),
    "b.bias": (37,),
    "c.weight": (6, 3, 3, 3),
    "d.weight": (1, 9),
    "loc": (4, 3),
    "e.weight": (16, 48),
    "scalar": (1,),
}
FROZEN = ("b.bias", "e.weight")


def reference_steps(name, options, parameters, gradients, schedules, limit):
    """Parameters and state after every step."""
    p = {key: value.astype(np.float64) for key, value in parameters.items()}
    states = {key: {} for key in p}
    for t, (g, schedule) in enumerate(zip(gradients, schedules, strict=True), 1):
        norm = np.sqrt(sum((g[key] ** 2).sum() for key in p if key not in FROZEN))
        clip = min(1.0, limit / norm)
        for key in p.keys() - set(FROZEN):
            function, own = REFERENCES[name].step, dict(options)
            if name == "Muon":
                function, own = muon_of(key, p[key], options)
            default = inspect.signature(function).parameters["learning_rate"].default
            own["learning_rate"] = own.get("learning_rate", default) * schedule
            p[key] = function(p[key], clip * g[key], t, states[key], **own)
        yield norm, clip, p, states


def random_tensors(rng, shapes, scale=1.0):
    return {key: scale * rng.normal(size=shape) for key, shape in shapes.items()}


# Of float64 it is the rounding of sums and of five iterations, in which errors grow to 500 times
# their size; of float32 the same.
TOLERANCES = {"float64": {"rtol": 1e-12, "atol": 1e-13}, "float32": {"rtol": 2e-4, "atol": 1e-5}}
NORM_TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value)[:20])
def test_steps_are_the_papers(libraries, name, options, dtype):
    rng = np.random.default_rng(7)
    start, steps = random_tensors(rng, SHAPES), 25
    start = {key: value.astype(dtype) for key, value in start.items()}
    gradients = [random_tensors(rng, SHAPES, 10.0 ** rng.integers(-2, 2)) for _ in range(steps)]
    for g in gradients:
        for key in g:
            g[key] = g[key].astype(dtype).astype(np.float64)
    schedules = rng.uniform(0.1, 1.0, steps)
    for library in libraries.values():
        tensors = {key: (value, key in FROZEN, None) for key, value in start.items()}
        ours = Stepper(library, name, options, tensors, dtype)
        truth = reference_steps(name, options, start, gradients, schedules, 20.0)
        for t, (norm, clip, p, states) in enumerate(truth):  # noqa: B007
            assert ours.norm(gradients[t]) == pytest.approx(norm, rel=NORM_TOLERANCE[dtype])
            ours.step(gradients[t], schedules[t], clip)
            for key in SHAPES:
                np.testing.assert_allclose(ours.parameters[key], p[key], **TOLERANCES[dtype])
        for key in FROZEN:
            assert np.array_equal(ours.parameters[key], start[key])
        arrays = ours.arrays()
        assert list(arrays) == list(REFERENCES[name].state)
        for array, symbol in REFERENCES[name].state.items():
            for key, found in arrays[array].items():
                wanted = np.asarray(states[key].get(symbol, 0.0))
                wanted = np.broadcast_to(
                    wanted.reshape(-1, 1) if wanted.ndim else wanted, (found.size, 1)
                )
                np.testing.assert_allclose(found.reshape(-1, 1), wanted, **TOLERANCES[dtype])
        ours.close()


MATRICES = [(2, 2), (3, 200), (200, 3), (64, 64), (65, 33), (33, 65), (130, 257), (8, 4, 3, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", MATRICES, ids=str)
def test_muon_of_any_shape(libraries, shape, dtype):
    rng = np.random.default_rng(3)
    start = {"weight": rng.normal(size=shape).astype(dtype)}
    for library in libraries.values():
        ours = Stepper(library, "Muon", {}, {"weight": (start["weight"], False, None)}, dtype)
        p, state = start["weight"].astype(np.float64), {}
        for t in range(1, 4):
            g = rng.normal(size=shape).astype(dtype)
            before = ours.parameters["weight"].copy()
            ours.step({"weight": g})
            p = muon(p, g.astype(np.float64), t, state)
            np.testing.assert_allclose(ours.parameters["weight"], p, **TOLERANCES[dtype])
        moved = (ours.parameters["weight"] - before).astype(np.float64).reshape(shape[0], -1)
        moved /= 0.02 * max(1.0, moved.shape[0] / moved.shape[1]) ** 0.5
        values = np.linalg.svd(moved, compute_uv=False)
        if shape not in ((64, 64),):  # whose least singular values are tiny
            assert values.min() > 0.6 and values.max() < 1.25
        ours.close()


def test_muon_leaves_what_a_mask_leaves_out(libraries):
    rng, shape, ends = np.random.default_rng(0), (6, 9), [0, 2, 2, 5, 9, 9]
    mask = np.arange(9) < np.array(ends)[:, None]
    start = rng.normal(size=shape) * mask
    for library in libraries.values():
        options = {"weight_decay": 0.1}
        ours = Stepper(library, "Muon", options, {"weight": (start, False, ends)}, "float64")
        p, state = start, {}
        for t in range(1, 21):
            g = rng.normal(size=shape) * mask
            ours.step({"weight": g})
            p = muon(p, g, t, state, **options) * mask
        np.testing.assert_allclose(ours.parameters["weight"], p, rtol=1e-12, atol=1e-13)
        ours.close()


@pytest.mark.parametrize("name", REFERENCES)
def test_no_gradient_is_no_step(libraries, name):
    start = random_tensors(np.random.default_rng(0), SHAPES)
    nothing = {key: np.zeros_like(value) for key, value in start.items()}
    for library in libraries.values():
        tensors = {key: (value, False, None) for key, value in start.items()}
        options = {"adam_weight_decay" if name == "Muon" else "weight_decay": 0.0}
        ours = Stepper(library, name, options, tensors, "float64")
        for _ in range(3):
            ours.step(nothing)
        assert all(np.array_equal(ours.parameters[key], start[key]) for key in start)
        ours.close()


LARGE = {
    "a.weight": (150, 300),
    "a.bias": (40_000,),
    "b.weight": (64, 32),
    "c.weight": (129, 65),
    "d": (3, 7000),
    "e.weight": (300, 20),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCES)
def test_threads_give_the_same_bits(libraries, name, dtype):
    library = libraries[max(libraries)]
    rng = np.random.default_rng(1)
    start, gradients = random_tensors(rng, LARGE), [random_tensors(rng, LARGE) for _ in range(5)]
    slabs = []
    for threads in (1, 2, 3, 8):
        tensors = {key: (value, key == "d", None) for key, value in start.items()}
        ours = Stepper(library, name, {}, tensors, dtype, threads)
        norms = [ours.norm(g) for g in gradients]
        for g in gradients:
            ours.step(g, 0.5, 0.25)
        state = [array[key].tobytes() for array in ours.arrays().values() for key in array]
        slabs.append((norms, ours.slab.tobytes(), state))
        ours.close()
    assert all(slab == slabs[0] for slab in slabs[1:])


# -- schedules -- #


def factors(libraries, name, losses, **options):
    library = libraries[max(libraries)]
    losses = np.asarray(losses, np.float64)
    found = np.empty(len(losses))
    arguments = spec_arguments(name, options)
    status = library.harness_factors(
        *arguments, ctypes.c_size_t(len(losses)), pointer(losses), pointer(found)
    )
    assert status == 0, library.cf_message()
    return found


def test_warm_up_and_cosine(libraries):
    steps = np.arange(20)
    rising = factors(libraries, "Constant", np.zeros(20), warmup=4)
    np.testing.assert_allclose(rising, np.minimum(1, (steps + 1) / 4), rtol=1e-15)
    wave = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * (steps - 4) / 16))
    wave = np.where(steps < 4, (steps + 1) / 4, wave)
    found = factors(libraries, "Cosine", np.zeros(20), warmup=4, final=0.1)
    np.testing.assert_allclose(found, wave, rtol=1e-14)
    assert np.array_equal(factors(libraries, "Cosine", np.zeros(3), warmup=3), [1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_plateau_wants_more_than_a_rounding(libraries, sign):
    """Losses that fall by a ten millionth of their size an epoch, whatever their sign."""
    losses = sign * 2.0 - 2e-7 * np.arange(12)
    kept = factors(libraries, "Plateau", losses, patience=3, threshold=0)
    assert np.array_equal(kept, np.ones(12))
    lowered = factors(libraries, "Plateau", losses, patience=3)
    assert np.array_equal(lowered, [1] * 4 + [0.5] * 3 + [0.25] * 3 + [0.125] * 2)
    better = sign * 2.0 - 2.1e-4 * np.arange(12)
    assert np.array_equal(factors(libraries, "Plateau", better, patience=3), np.ones(12))


def test_a_plateau_of_odd_losses(libraries):
    nan, inf = float("nan"), float("inf")
    found = factors(
        libraries, "Plateau", [nan, inf, 1, nan, 0.5, inf, 0, 0, -1e-300, -1e-300, 0, 0], patience=2
    )
    assert np.array_equal(found, [1, 1] + [0.5] * 9 + [0.25])
    least = factors(libraries, "Plateau", np.ones(9), patience=1, factor=0.1, final=0.05)
    np.testing.assert_allclose(least, [1, 1, 0.1] + [0.05] * 6, rtol=1e-15)
