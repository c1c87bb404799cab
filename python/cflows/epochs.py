"""What changes between epochs of a fit: the weight of a VAE's regularisation, augmented images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .training_rows import TrainingRows

if TYPE_CHECKING:
    from . import _core


class Warmup:
    """The weight of the Kullback-Leibler term, which rises over the first epochs to 1."""

    def __init__(self, model: _core.Model, epochs: int) -> None:
        self.epochs = epochs
        if epochs > 0 and not _is_variational(getattr(model, "layers", ())):
            raise ValueError("kl_warmup is for a flow with a Variational layer, such as a VAE")

    def weight(self, epoch: int) -> float:
        """The weight in an epoch, counted from 0."""
        return min(1.0, (epoch + 1) / (self.epochs + 1))


def _is_variational(layers: Sequence[_core.BoundLayer]) -> bool:
    return any(layer.type == "Variational" or _is_variational(layer.layers) for layer in layers)


class Augmented:
    """Training rows whose images are augmented afresh in every epoch, in a copy."""

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
        """Make the images of an epoch, counted from 0."""
        if self.augment is not None:
            from .data.augmentation import augmented

            augmented(self.source, self.augment, self.seed, epoch, out=self.rows.x)
