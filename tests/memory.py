"""Memory as the operating system counts it, C's allocations included, which tracemalloc cannot see.

To be used in a process of its own (`processes.run_script`): what earlier tests have freed would
hide what a later one takes.
"""

from __future__ import annotations

import gc
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def resident() -> int:
    """Bytes of this process in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak stands for it
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def growth(call: Callable[[], object], times: int) -> int:
    """Bytes that so many calls leave behind; the less of two rounds: a leak is in both."""
    return min(_growth(call, times) for _ in range(2))


def _growth(call: Callable[[], object], times: int) -> int:
    gc.collect()
    before = resident()
    for _ in range(times):
        call()
    gc.collect()
    return resident() - before


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
