"""Single training steps, for custom loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._core import Constant, Cosine, Optimizer
from .arguments import checked_loss, checked_seed, decay, gradient_limit, integer
from .names import by_name
from .optim import STEP_SCHEDULES, checked_optimizer, checked_schedule
from .option_names import StepScheduleName
from .training_rows import check_order, read_rows

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import ArrayLike

    from .flow import Flow
    from .nn import Function, Loss


class Trainer:
    """Minimises a loss on batches that the caller brings, a step at a time.

    While it is open the model is locked: score a copy (`copy.copy`). ``with`` closes it. The first
    batch sets the standardisation and the data-dependent initialisation of a flow that has not
    been fitted, as in `Flow.fit`.

    Parameters
    ----------
    model : Flow or Loss
    loss : str or nn.Function, optional
        None is 'likelihood', or the loss of an `nn.objective`; else the name of a loss of the
        library, or one of `nn.function`.
    optimizer : Optimizer, optional
        None is ``Adam(1e-3)``.
    schedule : {'constant', 'cosine'} or Constant or Cosine
        Of the learning rate; a cosine needs `steps`.
    steps : int, optional
        The total number of steps, for the schedule.
    clip_norm : float or None, default 5
        Gradients longer than this are shortened to it; None leaves them.
    ema : float, optional
        As of `Flow.fit`: the averaged weights are put in place when it is closed.
    seed : int, optional
        Of what stochastic layers and dropout draw; None draws one.

    Raises
    ------
    ValueError
        If an argument is out of range, or the model has no such loss.
    TypeError
        If an argument is of the wrong kind.
    RuntimeError
        If the model is in use by another thread.

    See Also
    --------
    Flow.fit : epochs, validation, the best weights.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> rng = np.random.default_rng(0)
    >>> flow = cf.realnvp(features=2, layers=2, hidden=(16,), seed=0)
    >>> with cf.Trainer(flow, optimizer=cf.Adam(1e-2), seed=0) as trainer:
    ...     losses = [trainer.step(rng.normal(size=(100, 2)) * [1, 3]) for _ in range(50)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        model: Flow | Loss,
        loss: str | Function | None = None,
        optimizer: Optimizer | None = None,
        *,
        schedule: StepScheduleName | Constant | Cosine = "constant",
        steps: int | None = None,
        clip_norm: float | None = 5.0,
        ema: float | None = None,
        seed: int | None = None,
    ) -> None:
        plan = checked_schedule(schedule, STEP_SCHEDULES)
        if isinstance(plan, Cosine) and steps is None:
            raise ValueError("a cosine schedule needs steps, how many there will be")
        self.model = model
        self.skipped = 0
        self._closed = False
        self._trainer = _core.StepTrainer(
            model,
            checked_loss(model, loss),
            checked_optimizer(optimizer),
            plan,
            steps=0 if steps is None else integer("steps", steps, 1),
            clip_norm=gradient_limit(clip_norm),
            ema=decay(ema),
            seed=checked_seed(seed),
        )

    def step(
        self, x: ArrayLike, context: ArrayLike | None = None, weights: ArrayLike | None = None
    ) -> float:
        """Make one step, and return the loss of the batch before it.

        Parameters
        ----------
        x : array_like, shape (n, features) or (n, channels, height, width)
        context : array_like, shape (n, context_features) or (context_features,), optional
            For a model with context, and only then.
        weights : array_like, shape (n,), optional
            0 or more; the loss is the weighted mean. Rows of weight 0 are left out.

        Returns
        -------
        float
            If it is not finite no step is made, and ``skipped`` counts it.

        Raises
        ------
        ValueError
            If a shape is wrong, or there is no row of a positive weight.
        NumericalError
            If 20 steps in a row had a loss or a gradient that was not finite.
        RuntimeError
            If the trainer is closed.
        """
        check_order(x, context, weights)
        try:
            x, context = by_name(self.model, "x", x), by_name(self.model, "context", context)
            loss, skipped = self._trainer.step(read_rows(x, context, weights).arrays)
        except _core.NumericalError:  # it counts this step too
            self.skipped += 1
            raise
        self.skipped += skipped
        return loss

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on except the model's parameters and buffers."""
        return self._trainer.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`.

        Raises
        ------
        ValueError
            If it is from another kind of training.
        """
        self._trainer.load_state(state)
        self.skipped = int(state["skipped"])

    def close(self) -> None:
        """Set the averaged weights, if there are any, and unlock the model."""
        if not self._closed:
            self._trainer.finish()
            self._trainer.close()
        self._closed = True

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
