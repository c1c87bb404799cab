"""What the tests of learning share: a small flow, quick fits, comparison bit for bit."""

import numpy as np

import cflows as cf
from cflows import data

ROWS = 600


def moons_rows():
    return data.toy("moons").sample(ROWS, seed=0)


def new_flow(dtype="float32", features=2, activation="tanh", **options):
    """A flow with weights that are far from a coupling's first ones."""
    flow = cf.realnvp(
        features, layers=3, hidden=(12, 12), activation=activation, dtype=dtype, seed=1, **options
    )
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape) * 0.3
    return flow


def quietly(flow, *rows, **options):
    """A fit of three epochs on all rows, unless told otherwise."""
    usual = {"epochs": 3, "seed": 5, "progress": False, "validation": None}
    return flow.fit(*rows, **{**usual, **options})


def contents(flow):
    """Bytes of all that a fit may change, by name."""
    tensors = {**flow.parameters, **{f"buffers.{name}": b for name, b in flow.buffers.items()}}
    return {name: array.tobytes() for name, array in tensors.items()}


def same(a, b):
    return contents(a) == contents(b)
