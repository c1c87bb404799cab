"""Memory as the operating system counts it, C's allocations included, which tracemalloc cannot see.

To be used in a process of its own (`processes.run_script`): what earlier tests have freed would
hide what a later one takes.
"""

from __future__ import annotations

import ctypes
import gc
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class _Mallinfo(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo is not None:
    _mallinfo.restype = _Mallinfo


def allocated() -> int:
    """Bytes that malloc has given out: to the core, to NumPy and for Python's larger objects.

    Where the C library does not tell, the most that the process has ever had in memory.
    """
    if _mallinfo is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = _mallinfo()
    return counts.uordblks + counts.hblkhd


def leaked(call: Callable[[], object], times: int) -> float:
    """Bytes that a call leaves behind on average, in the best of five rounds.

    What leaks does so in every round; what caches and pools of memory take, they take in some.
    """
    least = float("inf")
    for _ in range(5):
        least = min(least, _growth(call, times) / times)
        if least < 1:
            break
    return least


def _growth(call: Callable[[], object], times: int) -> int:
    gc.collect()
    before = allocated()
    for _ in range(times):
        call()
    gc.collect()
    return allocated() - before


@contextmanager
def no_more_than(extra: int) -> Iterator[None]:
    """Let the process take `extra` bytes at most, by whatever allocator: on Linux alone.

    Files that are mapped to be read do not count.
    """
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text()
    used = 1024 * int(re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)[1])
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
