"""``cflows demo moons`` and the other densities on the plane, beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import Adam, nsf
from ..data import ToyDensity
from ..history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Toy:
    """Points drawn from a known density, and a flow that learns it."""

    PICTURE = "the density and the flow's, and the learning curve"

    def __init__(self, density: ToyDensity, quick: bool) -> None:
        self.density = density
        self.train = density.sample(10_000 if quick else 20_000, seed=0)
        self.validation = density.sample(2_000, seed=1)
        self.test = density.sample(20_000, seed=2)
        # Few epochs need many steps each, and long ones.
        self.epochs, self.batch_size, self.learning_rate = (
            (5, 64, 1e-2) if quick else (100, 256, 2e-3)
        )
        self.flow = nsf(features=2, layers=4, hidden=(32, 32) if quick else (64, 64), seed=0)

    def fit(self, progress: bool) -> History:
        print(f"fitting {len(self.train):,} points of {self.density.name}", flush=True)
        return self.flow.fit(
            self.train,
            validation=self.validation,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=Adam(self.learning_rate),
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
                f"  flow (NSF)          {flow:7.4f} nats: {flow - truth:.4f} above",
            ]
        )

    def picture(self, history: History) -> Figure:
        from .. import plot
        from ..plot.canvas import new_figure

        figure = new_figure(11.5, 3.9)
        parts: Any = figure.subfigures(1, 2, width_ratios=(2.2, 1.3))
        densities, curve = parts
        name = self.density.name.replace("_", " ")
        plot.densities({name: self.density, "flow": self.flow}, figure=densities)
        plot.learning_curve(history, ax=curve.subplots())
        return figure
