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

    def __init__(self, model: _core.Model, epochs: int) -> None:
        self.epochs = epochs
        if epochs > 0 and not _is_variational(getattr(model, "layers", ())):
            raise ValueError("kl_warmup is for a flow with a Variational layer, such as a VAE")

    def weight(self, epoch: int) -> float:
        """Of an epoch, from 0."""
        return min(1.0, (epoch + 1) / (self.epochs + 1))


def _is_variational(layers: Sequence[_core.BoundLayer]) -> bool:
    return any(layer.type == "Variational" or _is_variational(layer.layers) for layer in layers)


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
