"""Fixtures that several test modules take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import cflows as cf


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """`cflows.set_num_threads`, undone when the test ends."""
    before = cf.get_num_threads()
    yield cf.set_num_threads
    cf.set_num_threads(before)
