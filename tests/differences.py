"""Derivatives by differences: the truth that gradients are tested against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def derivative(f: Callable[[float], np.ndarray], step: float = 2e-3) -> np.ndarray:
    """f'(0) by central differences, extrapolated twice (Richardson): error of order step**6."""
    d = [(f(h) - f(-h)) / (2 * h) for h in (step, step / 2, step / 4)]
    first = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    return (16 * first[1] - first[0]) / 15


def gradient(f: Callable[[], float], array: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """The gradient of f(), which reads `array`, with respect to its entries."""
    result = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        start = array[index]

        def moved(h: float, index: tuple = index, start: float = start) -> float:
            array[index] = start + h
            value = f()
            array[index] = start
            return value

        result[index] = derivative(moved, step)
    return result


def gradient_error(
    ours: np.ndarray, f: Callable[[], float], array: np.ndarray, step: float = 2e-3
) -> float:
    """How far `ours` is from the gradient of f() with respect to `array`, as norms.

    The difference is projected on three directions of +-1, each of which has the whole error of any
    single entry, or on every axis of an array that is as small.
    """
    assert ours.shape == array.shape
    if array.size <= 3:
        directions = np.eye(array.size)
    else:
        directions = np.random.default_rng(0).choice([-1.0, 1.0], (3, array.size))
    start, worst = array.copy(), 0.0
    for direction in directions.reshape(-1, *array.shape):
        unit = direction / np.linalg.norm(direction)

        def moved(h: float, unit: np.ndarray = unit) -> float:
            array[...] = start + h * unit
            return f()

        error = np.sum(ours * unit) - derivative(moved, step)
        worst = max(worst, abs(error) * np.abs(direction).sum() ** 0.5)
    array[...] = start
    return worst


def jacobian(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 2e-3
) -> np.ndarray:
    """d f(x)[n, i] / d x[n, j] of a function of rows, each of which is flattened: (n, i, j)."""
    columns = []
    for index in np.ndindex(x.shape[1:]):
        direction = np.zeros_like(x)
        direction[(slice(None), *index)] = 1
        column = derivative(lambda h, d=direction: f(x + h * d), step)
        columns.append(column.reshape(len(x), -1))
    return np.stack(columns, axis=-1)
