"""``cflows demo moons`` and the other densities on the plane, beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import Adam, realnvp
from ..data import ToyDensity
from ..history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Toy:
    """Points drawn from a known density, and a flow that learns it."""

    PICTURE = "the density and the flow's, and the learning curve"

    def __init__(self, density: ToyDensity, quick: bool) -> None:
        self.density = density
        self.train = density.sample(2_000 if quick else 20_000, seed=0)
        self.validation = density.sample(2_000, seed=1)
        self.test = density.sample(20_000, seed=2)
        self.epochs = 5 if quick else 100
        self.flow = realnvp(features=2, layers=4 if quick else 12, hidden=(64, 64), seed=0)

    def fit(self, progress: bool) -> History:
        print(f"fitting {len(self.train):,} points of {self.density.name}", flush=True)
        return self.flow.fit(
            self.train,
            validation=self.validation,
            epochs=self.epochs,
            batch_size=256,
            optimizer=Adam(2e-3),
            schedule="cosine",
            patience=None,  # the schedule is to come to its end
            seed=0,
            progress=progress,
        )

    def report(self) -> str:
        truth = -float(np.mean(self.density.log_prob(self.test)))
        flow = -float(np.mean(self.flow.log_prob(self.test), dtype=np.float64))
        return "\n".join(
            [
                f"negative log-likelihood of {len(self.test):,} points not seen, lower is better:",
                f"  the density itself  {truth:7.4f} nats, its entropy",
                f"  flow (RealNVP)      {flow:7.4f} nats: {flow - truth:.4f} above",
            ]
        )

    def picture(self, history: History) -> Figure:
        from .. import plot
        from ..plot.canvas import new_figure

        figure = new_figure(12.0, 4.2)
        truth, flow, curve = figure.subplots(1, 3)
        plot.density(self.density, ax=truth)
        plot.density(self.flow, bounds=self.density.bounds, ax=flow)
        plot.learning_curve(history, ax=curve)
        truth.set_title(self.density.name.replace("_", " "))
        flow.set_title("flow")
        return figure
