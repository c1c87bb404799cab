"""normflows: https://github.com/VincentStimper/normalizing-flows"""

from __future__ import annotations

import normflows as nf
import numpy as np
import torch

from architectures import LOG_SCALE_BOUND, Coupling, DensityFlow, Family, FreeFlow, RealNVP

from .rows import interleaved
from .torch_model import TorchModel

POWER_ITERATIONS = 5
"""Of the spectral norms, after each step."""


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


def residual_blocks(architecture: FreeFlow) -> list[nf.flows.Flow]:
    """From base to data, as the library's own example of residual flows builds them."""
    sizes = [architecture.features, *architecture.hidden, architecture.features]
    blocks = []
    for _ in range(architecture.layers):
        net = nf.nets.LipschitzMLP(sizes, init_zeros=True, lipschitz_const=architecture.contraction)
        blocks += [
            nf.flows.Residual(net, reduce_memory=True),
            nf.flows.ActNorm(architecture.features),
        ]
    return blocks


class NormflowsModel(TorchModel):
    """`AffineCouplingBlock`s that split in halves, over a fixed standard normal."""

    def build(self, architecture: RealNVP | Family | DensityFlow | FreeFlow) -> None:
        if isinstance(architecture, Family):
            raise NotImplementedError("its masked and spline flows have residual networks alone")
        base = nf.distributions.DiagGaussian(architecture.features, trainable=False)
        self.residual = isinstance(architecture, FreeFlow)
        if self.residual:
            if architecture.kind != "residual":
                raise NotImplementedError(f"it has no flow of kind {architecture.kind}")
            self.module = nf.NormalizingFlow(base, residual_blocks(architecture))
            return
        if isinstance(architecture, DensityFlow):
            raise NotImplementedError("the density comparison builds its RealNVP alone")
        self._blocks = [coupling_block(coupling) for coupling in architecture.couplings]
        self.module = nf.NormalizingFlow(base, self._blocks[::-1])

    def after_step(self) -> None:
        if self.residual:
            nf.utils.update_lipschitz(self.module, POWER_ITERATIONS)

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
