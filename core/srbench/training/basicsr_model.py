"""The training model: basicsr's `SRModel` around one of our networks."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from srbench.compat.basicsr import load_basicsr
from srbench.errors import ConfigError
from srbench.training.clipping import clip_gradients
from srbench.training.graphs import GraphedStep
from srbench.training.losses import make_criterion
from srbench.training.optimizers import optimizer_arguments, optimizer_class
from srbench.training.patches import Batch, PatchTable, TrainingPatches
from srbench.training.precision import (
    autocast,
    check_arithmetic,
    full_precision_loss,
    in_layout,
    keep_in_float32,
    memory_format,
)
from srbench.training.recipe import Constant, CosineRestart, MultiStep, Recipe

load_basicsr()
# basicsr warns about every frozen parameter, such as mean shifts.
logging.getLogger("basicsr").setLevel(logging.ERROR)

from basicsr.models.sr_model import SRModel  # noqa: E402

__all__ = ["SRBenchModel"]


class SRBenchModel(SRModel):  # type: ignore[misc]
    """Train a `Backbone` with basicsr's optimizer, schedulers and losses.

    Four things differ from basicsr: the network comes from our factory, not from basicsr's registry; the backbone
    defines the targets, since it may have several outputs; the average of the weights includes buffers; and saving
    and resuming includes the random state.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, device: torch.device) -> None:
        """Set up a training from its first iteration.

        Args:
            net: A `Backbone`.
            recipe: The training's settings.
            device: The device.

        Raises:
            ConfigError: This network or device does not support the recipe's precision or compilation.
        """
        check_arithmetic(recipe, net, device)
        super(SRModel, self).__init__(_options(recipe, device))
        self.device = device
        self.recipe = recipe
        self.net_g: Any = in_layout(net.to(device), recipe)
        keep_in_float32(self.net_g, recipe)
        self.net_g.train()
        self.cri_pix = make_criterion(recipe).to(device)
        self._criterion = self.cri_pix if recipe.precision == "float32" else full_precision_loss(self.cri_pix)
        # Compiled on its first call.
        self._forward: Any = torch.compile(self.net_g) if recipe.compile == "inductor" else self.net_g
        self.ema_decay = recipe.ema_decay
        if self.ema_decay:
            self.net_g_ema: Any = copy.deepcopy(self.net_g).eval().requires_grad_(False)
            self._average = get_ema_multi_avg_fn(self.ema_decay)
            pairs = list(zip(_unique(self.net_g_ema), _unique(self.net_g), strict=True))
            self._floating = [(mean, new) for mean, new in pairs if mean.is_floating_point()]
            self._counting = [(mean, new) for mean, new in pairs if not mean.is_floating_point()]
        self.setup_optimizers()
        if not isinstance(recipe.scheduler, Constant):
            self.setup_schedulers()
        self._graphed = GraphedStep(self._compute, self.optimizer_g, device) if recipe.compile == "graph" else None

    @property
    def trained(self) -> Any:
        """Return the network to evaluate and save: the averaged one if there is one."""
        return self.net_g_ema if self.ema_decay else self.net_g

    def step(self, batch: Batch | PatchTable, iteration: int) -> Tensor:
        """Take one optimizer step and return the detached loss on the device; reading it would synchronize.

        Args:
            batch: The patches, or their positions on the device.
            iteration: Number of the iteration, counted from 1.
        """
        self.update_learning_rate(iteration)
        self.net_g.on_step(iteration, self.recipe.iterations)
        if self._graphed is not None and isinstance(batch, PatchTable):
            return self._graphed(batch)
        return self._compute(batch.cut() if isinstance(batch, PatchTable) else batch)

    def batches_of(self, patches: TrainingPatches) -> Callable[[int], Batch | PatchTable]:
        """Return a function that maps an iteration to the input of `step`.

        Raises:
            ConfigError: The step cuts its own patches, but the images are not on the device.
        """
        if self._graphed is None:
            return patches.batch
        if not patches.resident:
            raise ConfigError(
                "compile 'graph' needs all training images in the GPU's memory, and they do not fit there, or are made "
                "anew by scale augmentation; take compile none."
            )
        return patches.table

    def _compute(self, batch: Batch) -> Tensor:
        """Compute loss and gradients, and update weights and average, without synchronizing with the device."""
        self.optimizer_g.zero_grad(set_to_none=True)
        lr = batch.lr.contiguous(memory_format=memory_format(self.recipe))
        with self._kernels_at_once(batch.scale), autocast(self.recipe, self.device):
            outputs = self._forward(lr, batch.scale)
            loss: Tensor = self.net_g.loss(outputs, self.net_g.targets(batch.hr, batch.scale), self._criterion)
            auxiliary = self.net_g.auxiliary_loss()
        if auxiliary is not None:
            loss = loss + auxiliary
        loss.backward()
        if self.recipe.clip is not None:
            group = self.optimizer_g.param_groups[0]
            clip_gradients(self.recipe.clip, group["params"], group["lr"])
        self.optimizer_g.step()
        if self.ema_decay:
            self.model_ema(self.ema_decay)
        return loss.detach()

    def get_optimizer(self, optim_type: str, params: list[nn.Parameter], lr: float, **options: Any) -> Any:
        """Return a torch optimizer; basicsr's own method supports only Adam."""
        return optimizer_class(optim_type)(params, lr=lr, **options)  # type: ignore[call-arg]

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """Set an iteration's learning rate: the scheduler's, or less during warm-up.

        basicsr's own warm-up permanently lowers the rate, because its schedulers multiply the current rate.
        """
        warmup = self.recipe.warmup
        if not warmup:
            super().update_learning_rate(current_iter)
            return
        if current_iter > 1:
            for scheduler in self.schedulers:
                self._set_lr([scheduler.get_last_lr()])
                scheduler.step()
        rates = self.schedulers[0].get_last_lr() if self.schedulers else [self.recipe.lr]
        self._set_lr([[rate * min(1.0, current_iter / warmup) for rate in rates]])

    def _kernels_at_once(self, scale: int) -> AbstractContextManager[None]:
        """Return the context in which the layers of a bank find their kernels precomputed.

        On a CPU each layer computes its own: one product for all of them rounds differently and is not faster there.
        """
        method = self.net_g.method
        if self.device.type == "cpu" or method is None or self.recipe.compile == "inductor":
            return nullcontext()
        dtype = torch.bfloat16 if self.recipe.precision == "bf16" else torch.float32
        self.net_g.select_scale(scale)
        made: AbstractContextManager[None] = method.kernels_at_once(
            self.net_g, scale, dtype, memory_format(self.recipe)
        )
        return made

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """Update the moving average of the weights; integer buffers are copied."""
        if self._floating:
            means, news = map(list, zip(*self._floating, strict=True))
            self._average(means, news, 0)
        for mean, new in self._counting:
            mean.copy_(new)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later iterations depend on, as tensors and plain values."""
        state: dict[str, Any] = {
            "network": self.net_g.state_dict(),
            "optimizer": self.optimizer_g.state_dict(),
            # Only what changes; the schedulers are otherwise rebuilt from the recipe.
            "schedulers": [
                {key: scheduler.state_dict()[key] for key in ("base_lrs", "last_epoch", "_step_count", "_last_lr")}
                for scheduler in self.schedulers
            ],
        }
        if self.ema_decay:
            state["ema"] = self.net_g_ema.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by `state_dict`."""
        self.net_g.load_state_dict(state["network"])
        self.optimizer_g.load_state_dict(state["optimizer"])
        for scheduler, values in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(values)
        if self.ema_decay:
            self.net_g_ema.load_state_dict(state["ema"])


def _unique(net: nn.Module) -> list[Tensor]:
    """Return parameters and buffers, each tensor once, in the same order for all copies of a network."""
    return [tensor.detach() for tensor in (*net.parameters(), *net.buffers())]


def _options(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """Convert a recipe to basicsr's options."""
    options: dict[str, Any] = {
        "num_gpu": 0 if device.type == "cpu" else 1,
        "is_train": True,
        "dist": False,
        "train": {
            "optim_g": {"type": recipe.optimizer, **optimizer_arguments(recipe)},
        },
    }
    scheduler = recipe.scheduler
    if isinstance(scheduler, MultiStep):
        options["train"]["scheduler"] = {
            "type": scheduler.type,
            "milestones": scheduler.milestones,
            "gamma": scheduler.gamma,
        }
        if scheduler.restarts:
            options["train"]["scheduler"]["restarts"] = scheduler.restarts
            options["train"]["scheduler"]["restart_weights"] = scheduler.restart_weights
    elif isinstance(scheduler, CosineRestart):
        periods = scheduler.periods or (recipe.iterations,)
        options["train"]["scheduler"] = {
            "type": scheduler.type,
            "periods": periods,
            "restart_weights": scheduler.restart_weights or (1.0,) * len(periods),
            "eta_min": scheduler.eta_min,
        }
    return options
