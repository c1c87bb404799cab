"""The warm-up of a VAE's regularisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
