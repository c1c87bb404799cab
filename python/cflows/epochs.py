"""What changes from epoch to epoch of a fit: the weight of a VAE's regularisation, the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .training_rows import TrainingRows

if TYPE_CHECKING:
    from . import _core


class Warmup:
    """Weights of the Kullback-Leibler term that rise from epoch to epoch to 1."""

    def __init__(self, flow: _core.Flow, epochs: int) -> None:
        name = "kl_weight"
        self.epochs = epochs
        self.weights = [b for path, b in flow.buffers.items() if path.split(".")[-1] == name]
        if epochs > 0 and not self.weights:
            raise ValueError("kl_warmup is for a flow with a Variational layer, such as a VAE")

    def start(self, epoch: int) -> None:
        """Set the weights of an epoch, from 0."""
        if epoch < self.epochs:
            self._set((epoch + 1) / (self.epochs + 1))
        else:
            self.finish()

    def finish(self) -> None:
        """Set them to 1."""
        self._set(1.0)

    def _set(self, weight: float) -> None:
        if self.epochs > 0:
            for buffer in self.weights:
                buffer[...] = weight


class Augmented:
    """Rows whose images are changed afresh in every epoch, in an array of their own."""

    def __init__(
        self,
        rows: TrainingRows,
        augment: Callable[..., Any] | Sequence[Callable[..., Any]] | None,
        seed: int,
    ) -> None:
        self.source, self.augment, self.seed = rows.x, augment, seed
        self.rows = rows if augment is None else replace(rows, x=np.empty_like(rows.x))
        self.start(0)

    def start(self, epoch: int) -> None:
        """Set the images of an epoch, from 0."""
        if self.augment is not None:
            from .data.augmentation import augmented

            augmented(self.source, self.augment, self.seed, epoch, out=self.rows.x)
