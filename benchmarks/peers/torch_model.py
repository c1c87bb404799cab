"""What the PyTorch libraries share: eager or compiled, they differ in how a flow is built."""

from __future__ import annotations

import copy
from abc import abstractmethod

import numpy as np
import torch

from architectures import FreeFlow

from .model import Model, Training


class TorchModel(Model):
    """A PyTorch flow, in inference mode when it scores and with the fused Adam when it learns."""

    def __init__(self, architecture, *, threads: int, seed: int, compiled: bool = False):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.compiled = compiled
        self.build(architecture)
        self._density, self._draw, self._loss = self.density, self.draw, self.loss
        # What takes gradients to score, and what was compiled for them, rejects inference mode.
        without_gradients = not compiled and not isinstance(architecture, FreeFlow)
        self._inference = torch.inference_mode if without_gradients else torch.no_grad
        if compiled:
            self.chunks = (2000, 10000)  # every size is another compilation
            self._density = torch.compile(self.density, dynamic=False)
            self._draw = torch.compile(self.draw, dynamic=False)
            self._loss = torch.compile(self.loss, dynamic=False)

    @abstractmethod
    def build(self, architecture) -> None:
        """Sets `self.module`, the flow as its users would build it."""

    @abstractmethod
    def density(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x), shape (n,)."""

    @abstractmethod
    def draw(self, n: int) -> torch.Tensor:
        """n samples, shape (n, features)."""

    @abstractmethod
    def linears(self) -> list[list[torch.nn.Module]]:
        """The linear layers of every conditioner, from data to base."""

    def output_rows(self, transformed: int) -> np.ndarray:
        """Where the rows of a last linear layer are, in the order of `architectures.Coupling`."""
        return np.arange(2 * transformed)

    def after_step(self) -> None:
        """What the library's users have to call after each step of the optimiser."""

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        return -self.density(x).mean()

    def set_weights(self, weights) -> None:
        with torch.no_grad():
            for modules, arrays in zip(self.linears(), weights, strict=True):
                for module, (weight, bias) in zip(modules, arrays, strict=True):
                    last = module is modules[-1]
                    rows = self.output_rows(len(bias) // 2) if last else slice(None)
                    module.weight.copy_(torch.from_numpy(weight[rows]))
                    module.bias.copy_(torch.from_numpy(bias[rows]))

    def array(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        with self._inference():
            return self._density(x)

    def sample(self, n: int) -> torch.Tensor:
        with self._inference():
            return self._draw(n)

    def score(self, x: np.ndarray, chunk: int = 10000) -> np.ndarray:
        """In evaluation mode: without dropout, with the running statistics of batch norm."""
        self.module.eval()
        try:
            return super().score(x, chunk)
        finally:
            self.module.train()

    def start_training(self, training: Training) -> None:
        self._training, self._step = training, 0
        self._parameters = [p for p in self.module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(self._parameters, training.learning_rate, fused=True)

    def train(self, batches: torch.Tensor) -> None:
        for x in batches:
            self._optimizer.param_groups[0]["lr"] = self._training.rate(self._step)
            self._optimizer.zero_grad(set_to_none=True)
            self._loss(x).backward()
            torch.nn.utils.clip_grad_norm_(self._parameters, self._training.clip_norm)
            self._optimizer.step()
            self.after_step()
            self._step += 1

    def snapshot(self) -> dict:
        return copy.deepcopy(self.module.state_dict())

    def restore(self, snapshot: dict) -> None:
        self.module.load_state_dict(snapshot)

    def prepare(self) -> None:
        if self.compiled:
            torch._dynamo.reset()
