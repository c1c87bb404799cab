"""cflows, through the interface that its users have."""

from __future__ import annotations

import sys
import time

import cflows as cf
import numpy as np

from architectures import DensityFlow, Family, FreeFlow, RealNVP

from .model import Fit, Model, Training


def family(architecture: Family) -> list[cf.Layer]:
    """The layers from base to data."""
    spline = cf.Spline(architecture.bins, architecture.bound)
    if architecture.kind == "nsf":
        return [
            cf.Coupling(mask=mask, transform=spline, hidden=architecture.hidden)
            for mask in architecture.masks[::-1]
        ]
    return [
        cf.Autoregressive(
            order=("natural", "reverse")[i % 2],
            transform="affine" if architecture.kind == "maf" else spline,
            hidden=architecture.hidden,
        )
        for i in range(architecture.layers)
    ]


def couplings(architecture: RealNVP) -> list[cf.Layer]:
    """The layers from data to base, turned round: see `CflowsModel`."""
    return [
        cf.Inverse(
            cf.Coupling(
                mask=coupling.mask(architecture.features),
                transform="affine",
                scale="softclip",
                hidden=coupling.hidden,
            )
        )
        for coupling in architecture.couplings
    ]


def density_flow(architecture: DensityFlow) -> list[cf.Layer]:
    """The layers from data to base.

    `Inverse` turns them round, so that they do from data to base what those of the others do.
    """
    if architecture.kind == "maf":
        return autoregressive_layers(architecture)
    net = cf.ResidualNet(
        architecture.width, blocks=architecture.blocks, dropout=architecture.dropout
    )
    spline = cf.Spline(architecture.bins, architecture.bound)
    layers: list[cf.Layer] = []
    for mask in architecture.masks:
        layer = (
            cf.Coupling(mask=mask, transform=spline, conditioner=net)
            if architecture.kind == "nsf"
            else cf.Autoregressive(parallel="forward", transform=spline, conditioner=net)
        )
        layers += [cf.Inverse(cf.Linear("lu")), cf.Inverse(layer)]
    return [*layers, cf.Inverse(cf.Linear("lu"))]


def autoregressive_layers(architecture: DensityFlow) -> list[cf.Layer]:
    """MAF from data to base: batch normalisation behind each autoregressive layer."""
    layers: list[cf.Layer] = []
    for i in range(architecture.layers):
        order = ("natural", "reverse")[i % 2]
        layer = cf.Autoregressive(order, parallel="forward", hidden=architecture.hidden)
        layers += [cf.Inverse(layer), cf.BatchNorm()]
    return layers


def free_flow(architecture: FreeFlow) -> list[cf.Layer]:
    """The layers from data to base."""
    hidden, count = architecture.hidden, range(architecture.layers)
    if architecture.kind in ("cnf", "matching"):
        network = cf.MLP(hidden, activation="elu")
        tolerance = {"rtol": architecture.rtol, "atol": architecture.atol}
        return [cf.Continuous(network, **tolerance)]
    if architecture.kind == "residual":
        block = cf.Residual(hidden, coefficient=architecture.contraction)
        return [layer for _ in count for layer in (block, cf.ActNorm())]
    transform = {
        "naf": cf.MonotoneNetwork(architecture.signal, architecture.monotone_hidden),
        "sos": cf.SumOfSquares(architecture.polynomials, architecture.sos_degree),
        "bernstein": cf.Bernstein(architecture.bernstein_degree),
    }[architecture.kind]
    layers: list[cf.Layer] = []
    for i in count:
        if i > 0 and architecture.kind != "bernstein":
            layers.append(cf.Inverse(cf.Softclip(architecture.clip)))
        order = ("natural", "reverse")[i % 2]
        layers.append(cf.Autoregressive(order, transform=transform, hidden=hidden))
    return layers


class CflowsModel(Model):
    """Couplings turned round by `Inverse`: the other libraries write u_b = x_b · exp(s) + t.

    Scoring and sampling take whole arrays, as the library cuts them itself; training is `fit`,
    which also shuffles and gathers the rows.
    """

    chunks = (sys.maxsize,)

    def __init__(
        self, architecture: RealNVP | Family | DensityFlow | FreeFlow, *, threads: int, seed: int
    ):
        cf.set_num_threads(threads)
        if isinstance(architecture, Family):
            layers = family(architecture)
        elif isinstance(architecture, DensityFlow):
            layers = density_flow(architecture)[::-1]
        elif isinstance(architecture, FreeFlow):
            layers = free_flow(architecture)[::-1]
        else:  # the architecture goes from data to base
            layers = couplings(architecture)[::-1]
        self.flow = cf.Flow(layers, features=architecture.features, seed=seed)
        matching = isinstance(architecture, FreeFlow) and architecture.kind == "matching"
        self._loss = "flow_matching" if matching else "likelihood"
        self._drawn = 0

    def set_weights(self, weights) -> None:
        for i, linears in enumerate(reversed(weights)):
            prefix = f"layers.{i}."
            views = [v for name, v in self.flow.parameters.items() if name.startswith(prefix)]
            *arrays, weight, bias = [array for linear in linears for array in linear]
            # The library's last layer has its unconstrained log scales first, then the shifts.
            arrays += [np.roll(array, len(array) // 2, axis=0) for array in (weight, bias)]
            for view, array in zip(views, arrays, strict=True):
                view[...] = array

    def array(self, x: np.ndarray) -> np.ndarray:
        return x

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return self.flow.log_prob(x)

    def sample(self, n: int) -> np.ndarray:
        self._drawn += 1
        return self.flow.sample(n, seed=self._drawn)

    def start_training(self, training: Training) -> None:
        self._training = training

    def train(self, batches: np.ndarray) -> None:
        self.flow.fit(
            batches.reshape(-1, batches.shape[-1]),
            epochs=1,
            batch_size=batches.shape[1],
            validation=None,  # steps alone, as of the others
            optimizer=cf.Adam(self._training.learning_rate),
            clip_norm=self._training.clip_norm,
            progress=False,
        )

    def snapshot(self) -> dict[str, np.ndarray]:
        return {name: view.copy() for name, view in self.flow.parameters.items()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        for name, view in self.flow.parameters.items():
            view[...] = snapshot[name]

    def score(self, x: np.ndarray, chunk: int = 0) -> np.ndarray:
        return self.flow.log_prob(x)

    def fit(self, train: np.ndarray, validation: np.ndarray, training: Training, seed: int) -> Fit:
        began = time.perf_counter()
        history = self.flow.fit(
            train,
            validation=validation,
            epochs=training.steps * training.batch_size // len(train),
            batch_size=training.batch_size,
            optimizer=cf.Adam(training.learning_rate),
            schedule="cosine",
            clip_norm=training.clip_norm,
            patience=None,
            loss=self._loss,
            seed=seed,
            progress=False,
        )
        seconds = time.perf_counter() - began
        return Fit(history.steps[-1], seconds, history.best_epoch)


MODEL = CflowsModel
