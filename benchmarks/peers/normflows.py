"""normflows: https://github.com/VincentStimper/normalizing-flows"""

from __future__ import annotations

import normflows as nf
import numpy as np
import torch

from architectures import LOG_SCALE_BOUND, Coupling, DensityFlow, Family, RealNVP

from .rows import interleaved
from .torch_model import TorchModel


class SoftclipMLP(torch.nn.Module):
    """The library's own MLP, with the log scales (every second output) clipped softly.

    Zero in place of 1 / bound leaves the shifts as they are.
    """

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        self.mlp = nf.nets.MLP(list(sizes))
        inverse_bound = torch.tensor([0.0, 1 / LOG_SCALE_BOUND]).repeat(sizes[-1] // 2)
        self.register_buffer("inverse_bound", inverse_bound)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        out = self.mlp(h)
        return out / (1 + (out * self.inverse_bound).abs())


def coupling_block(coupling: Coupling) -> nf.flows.Flow:
    """An `AffineCouplingBlock` on its side: the library writes its layers from base to data."""
    split = "channel" if coupling.identity[0] == 0 else "channel_inv"
    return nf.flows.Reverse(
        nf.flows.AffineCouplingBlock(SoftclipMLP(coupling.sizes), split_mode=split)
    )


class NormflowsModel(TorchModel):
    """`AffineCouplingBlock`s that split in halves, over a fixed standard normal."""

    def build(self, architecture: RealNVP | Family | DensityFlow) -> None:
        if isinstance(architecture, Family):
            raise NotImplementedError("its masked and spline flows have residual networks alone")
        if isinstance(architecture, DensityFlow):
            raise NotImplementedError("the density comparison builds its RealNVP alone")
        self._blocks = [coupling_block(coupling) for coupling in architecture.couplings]
        base = nf.distributions.DiagGaussian(architecture.features, trainable=False)
        self.module = nf.NormalizingFlow(base, self._blocks[::-1])

    def density(self, x: torch.Tensor) -> torch.Tensor:
        return self.module.log_prob(x)

    def draw(self, n: int) -> torch.Tensor:
        return self.module.sample(n)[0]

    def linears(self) -> list[list[torch.nn.Module]]:
        # A block is split, coupling, merge.
        nets = [block.flow.flows[1].param_map.mlp.net for block in self._blocks]
        return [[layer for layer in net if isinstance(layer, torch.nn.Linear)] for net in nets]

    def output_rows(self, transformed: int) -> np.ndarray:
        return interleaved(transformed)


MODEL = NormflowsModel
