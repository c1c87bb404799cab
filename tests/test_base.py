"""csrc/base: the generator of random numbers and the thread pool."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import philox
from c_build import SANITIZED, program, shared_library

SEED = 0x0123456789ABCDEF
POOL = ["csrc/base/pool.c", "csrc/base/threads.c", "csrc/base/status.c"]


@pytest.fixture(scope="module")
def lib():
    lib = shared_library(["csrc/base/philox.c", *POOL])
    u32, u64 = ctypes.c_uint32, ctypes.c_uint64
    lib.cf_philox.argtypes = [u64, u64, u32, u32, ctypes.POINTER(u32)]
    lib.cf_philox_below.argtypes = [u64, u64, u32, u32, u64]
    lib.cf_philox_below.restype = u64
    lib.cf_philox_uniform.argtypes = [u64, u64, u32, u32]
    lib.cf_philox_uniform.restype = ctypes.c_double
    lib.cf_philox_shuffle.argtypes = [ctypes.c_void_p, ctypes.c_int64, u64, u32, u32]
    lib.cf_message.restype = ctypes.c_char_p
    return lib


def succeed(command, environment):
    """What the command prints; it must end well, and in time."""
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return ran.stdout.strip()


# -- Philox -- #

# tests/kat_vectors of Random123 1.14: four counter words, two key words, four results.
KNOWN_ANSWERS = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""


def words(lib, seed, row, stream, block):
    out = (ctypes.c_uint32 * 4)()
    lib.cf_philox(seed, row, stream, block, out)
    return list(out)


@pytest.mark.parametrize("line", KNOWN_ANSWERS.split("\n")[1:-1], ids=["zeros", "ones", "pi"])
def test_known_answers(lib, line):
    w = [int(word, 16) for word in line.split()]
    counter = (w[4] | w[5] << 32, w[0] | w[1] << 32, w[2], w[3])
    assert words(lib, *counter) == w[6:]
    assert philox.words(*counter)[0].tolist() == w[6:]


@pytest.mark.parametrize("row", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_words_are_the_references(lib, row):
    for seed, stream, block in [(0, 0, 0), (SEED, 16, 3), (2**64 - 1, 2**32 - 1, 2**31)]:
        expected = philox.words(seed, row, stream, block)[0].tolist()
        assert words(lib, seed, row, stream, block) == expected


def test_uniform_is_the_first_pairs_53_bits(lib):
    for row in range(100):
        w = words(lib, SEED, row, 1, 7)
        expected = ((w[1] << 32 | w[0]) >> 11) / 2**53
        assert lib.cf_philox_uniform(SEED, row, 1, 7) == expected


# Bounds at which none, few, about half and nearly all first candidates are taken.
BOUNDS = [1, 2, 3, 10, 2**32, 2**32 + 1, 2**63, 2**63 + 1, 3 * 2**62 + 5, 2**64 - 1]


@pytest.mark.parametrize("bound", BOUNDS)
def test_below_takes_the_candidate_that_the_header_says(lib, bound):
    for row in range(200):
        assert lib.cf_philox_below(SEED, row, 3, 9, bound) == philox.below(SEED, row, 3, 9, bound)


def test_below_is_unbiased(lib):
    for bound in (3, 10, 1000):
        numbers = [lib.cf_philox_below(1, row, 2, 0, bound) for row in range(40 * bound)]
        assert stats.chisquare(np.bincount(numbers, minlength=bound)).pvalue > 1e-3
    # Without rejection a third of these, the lowest or every third, would come twice as often.
    numbers = [lib.cf_philox_below(1, row, 2, 0, 3 * 2**62) for row in range(3000)]
    assert stats.chisquare(np.bincount([n >> 62 for n in numbers])).pvalue > 1e-3
    assert stats.chisquare(np.bincount([n % 3 for n in numbers])).pvalue > 1e-3


def shuffled(lib, n, seed, stream=2, block=0):
    indices = np.arange(n, dtype=np.int64)
    lib.cf_philox_shuffle(indices.ctypes.data, n, seed, stream, block)
    return indices


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100])
def test_shuffle_swaps_as_the_header_says(lib, n):
    expected = np.arange(n)
    for i in range(n - 1):
        j = i + philox.below(SEED, i, 4, 6, n - i)
        expected[[i, j]] = expected[[j, i]]
    np.testing.assert_array_equal(shuffled(lib, n, SEED, 4, 6), expected)


def test_every_order_is_as_likely(lib):
    orders = {}
    for seed in range(24 * 200):
        order = tuple(shuffled(lib, 4, seed))
        orders[order] = orders.get(order, 0) + 1
    assert len(orders) == 24
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


# -- Number of threads -- #


def in_a_new_process(lib, code, **environment):
    """What `code` prints, where `lib` is this library loaded anew."""
    load = f"import ctypes, os; lib = ctypes.CDLL({lib._name!r})\n"
    load += "lib.cf_message.restype = ctypes.c_char_p\n"
    variables = {k: v for k, v in os.environ.items() if k != "CFLOWS_NUM_THREADS"} | environment
    return succeed([sys.executable, "-c", load + code], variables)


@pytest.mark.parametrize("text", ["1", "3", "256"])
def test_environment_sets_the_number_of_threads(lib, text):
    code = "print(lib.cf_threads_check(), lib.cf_num_threads())"
    assert in_a_new_process(lib, code, CFLOWS_NUM_THREADS=text) == f"0 {text}"


@pytest.mark.parametrize("text", ["0", "-1", "257", "two", "2 threads", "1e2", "9" * 30])
def test_environment_that_makes_no_sense_is_an_error(lib, text):
    code = "print(lib.cf_threads_check(), lib.cf_message().decode(), lib.cf_num_threads(), sep=';')"
    status, message, threads = in_a_new_process(lib, code, CFLOWS_NUM_THREADS=text).split(";")
    assert status == "1"
    assert message == f"CFLOWS_NUM_THREADS must be a number between 1 and 256, got '{text}'"
    assert int(threads) >= 1


def test_default_is_the_processors_that_this_process_may_use(lib):
    code = "print(lib.cf_threads_check(), lib.cf_num_threads(), lib.cf_processors())"
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    expected = f"0 {allowed} {allowed}"
    assert in_a_new_process(lib, code) == expected
    assert in_a_new_process(lib, code, CFLOWS_NUM_THREADS="") == expected
    if hasattr(os, "sched_setaffinity"):
        pin = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        assert in_a_new_process(lib, pin + code) == "0 1 1"


def test_a_number_that_was_set_goes_before_the_environment(lib):
    code = "print(lib.cf_set_num_threads(5), lib.cf_num_threads())"
    assert in_a_new_process(lib, code, CFLOWS_NUM_THREADS="3") == "0 5"


# -- Pool -- #

BUILDS = {"plain": (), "address": SANITIZED, "thread": ("-g", "-fsanitize=thread")}


def run_pool_test(*arguments, flags=()):
    path = program(["tests/c/test_pool.c", *POOL], flags)
    # By default the thread sanitizer ends a forked child that starts threads.
    variables = os.environ | {"TSAN_OPTIONS": "die_after_fork=0"}
    succeed([str(path), *arguments], variables)


@pytest.mark.parametrize("build", BUILDS)
def test_pool(build):
    run_pool_test(flags=BUILDS[build])


def test_pool_without_threads():
    run_pool_test("starved")
