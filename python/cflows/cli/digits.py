"""``cflows demo digits``: small images, beside a normal distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import AdamW, Scale, realnvp
from ..data import digits, split
from ..history import History
from ..units import bits_per_dimension
from .gaussian import Gaussian, fit_gaussian

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float = NDArray[np.float64]

# Pixels are whole numbers: uniform noise on [0, 1) gives them a density, whose mean log is a lower
# bound of that of their probabilities (Theis et al. 2016, arXiv:1511.01844, section 3.1).
_JITTER = 1.0
_NOISE_DRAWS = 8  # copies of each scored row, to average over


class Digits:
    """Digits, split 70 : 10 : 20, and a flow with the regularisation that so few images need."""

    PICTURE = "digits beside samples, and the learning curve"

    def __init__(self, quick: bool) -> None:
        images, _ = digits()
        rows = images.reshape(len(images), -1)
        self.train, self.validation, self.test = split(rows, (0.7, 0.1, 0.2), seed=0)
        self.epochs = 5 if quick else 150
        self.flow = realnvp(
            features=rows.shape[1],
            layers=4 if quick else 12,
            hidden=(128, 128),
            activation="silu",
            scale=Scale("tanh", bound=1.0),
            permute="random",
            seed=0,
        )

    def fit(self, progress: bool) -> History:
        print(f"fitting {len(self.train):,} handwritten digits of 8 x 8 pixels", flush=True)
        return self.flow.fit(
            self.train,
            validation=np.repeat(self.validation, _NOISE_DRAWS, axis=0),
            epochs=self.epochs,
            batch_size=128,
            optimizer=AdamW(3e-3, weight_decay=3.0),
            schedule="cosine",
            patience=None,  # the schedule is to come to its end
            jitter=_JITTER,
            seed=0,
            progress=progress,
        )

    def report(self) -> str:
        test = _with_noise(self.test, seed=1)
        gaussian = self._gaussian()
        flow_nats = -float(np.mean(self.flow.log_prob(test), dtype=np.float64))
        gaussian_nats = -float(np.mean(gaussian.log_prob(test)))
        shrunk = f"{gaussian.shrinkage:.2g} towards the {gaussian.target}"
        return "\n".join(
            [
                f"negative log-likelihood of {len(self.test):,} digits not seen, lower is better:",
                "                                nats   bits/pixel",
                _line("normal, full covariance", gaussian_nats, f"  (shrunk by {shrunk})"),
                _line("flow (RealNVP)", flow_nats, ""),
            ]
        )

    def picture(self, history: History) -> Figure:
        from .. import plot
        from ..plot.canvas import new_figure

        figure = new_figure(8.0, 7.2)
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.2, 3.0))
        images, curve = parts
        samples = self.flow.sample(64, seed=2)
        plot.samples(self.train[:64], samples, shape=(8, 8), figure=images)
        plot.learning_curve(history, ax=curve.subplots())
        return figure

    def _gaussian(self) -> Gaussian:
        train, validation = _with_noise(self.train, seed=2), _with_noise(self.validation, seed=3)
        return fit_gaussian(train, validation)


def _with_noise(rows: NDArray[np.uint8], seed: int) -> Float:
    """Copies of every row, each with fresh noise."""
    repeated = np.repeat(rows, _NOISE_DRAWS, axis=0)
    noise: Float = np.random.default_rng(seed).uniform(0.0, _JITTER, repeated.shape)
    return repeated + noise


def _line(name: str, nats: float, note: str) -> str:
    return f"  {name:<26}{nats:>8.2f}{bits_per_dimension(nats, 64):>13.3f}{note}"
