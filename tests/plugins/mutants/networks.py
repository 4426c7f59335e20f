"""Networks that break one law each: check -> the class that breaks it, and what else fails with it."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mutants.sound import Sound
from srbench.errors import ConfigError
from srbench.models.sites import BlockSpec, SharingSite

# name -> (class, the check named for what is broken, what fails in consequence)
NETWORKS: dict[str, tuple[type[Sound], str, frozenset[str]]] = {}


def breaks(check: str, *consequences: str) -> Callable[[type[Any]], type[Any]]:
    def register(cls: type[Any]) -> type[Any]:
        NETWORKS[cls.__name__] = (cls, check, frozenset(consequences))
        return cls

    return register


@breaks("sites_exist")
class WrongSites(Sound):
    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("third", kind="conv", bank="b", tie="t")]


@breaks("output_shape")
class WrongShape(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return super().forward(lr, scale).mean(1, keepdim=True)


@breaks("deterministic")
class Noisy(Sound):
    def features(self, lr: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return super().features(lr) + (self.calls % 2) * 1e-5


@breaks("batch_independent")
class MixesTheBatch(Sound):
    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr) + lr.mean()


@breaks("input_unchanged")
class WritesItsInput(Sound):
    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr.clamp_(max=0.5))


@breaks("gradients_reach_every_parameter")
class UnusedLayer(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.unused = nn.Conv2d(6, 6, 1)


@breaks("each_tensor_stored_once")
class RegisteredTwice(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.again = self.second


@breaks("state_dict_round_trip")
class HiddenState(Sound):
    """A weight that the state dict does not hold, drawn when the network is made."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.gain = float(torch.rand(()))

    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr) * self.gain


@breaks("deepcopy_keeps_sharing")
class LosesSharingWhenCopied(Sound):
    """A deep copy still uses the original's layer."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        layer = self.second
        self.call = lambda x: layer(x)  # noqa: PLW0108 - a function that a deep copy does not look into

    def features(self, lr: Tensor) -> Tensor:
        return self.call(super().features(lr))


@breaks("dtype_reaches_everything")
class UnregisteredTensor(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.kernel = torch.ones(6, 6, 1, 1)

    def features(self, lr: Tensor) -> Tensor:
        return F.conv2d(super().features(lr), self.kernel)


@breaks("single_scale_view_equals_network")
class WrongView(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return super().forward(lr, scale) * len(self.scales)


@breaks("site_kinds")
class ConvolutionCalledTransposed(Sound):
    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("second", kind="tconv", bank="b", tie="t")]


@breaks("site_kinds")
class BlockWithoutItsParts(Sound):
    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("second", kind="block", bank="b", tie="t", parts=BlockSpec(("conv1",)))]


@breaks("cost_runs", "audit_runs")
class RefusesToMove(Sound):
    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        if fn(torch.empty(0)).is_meta:
            raise RuntimeError("this network is for the CPU")
        return super()._apply(fn, recurse)


@breaks("audit_runs")
class DeclinesWithATraceback(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        if lr.is_meta and len(self.scales) > 1:
            raise ConfigError("Traceback (most recent call last):\n  it needs values")
        return super().forward(lr, scale)


@breaks("global_state_unchanged")
class SeedsTorch(Sound):
    def features(self, lr: Tensor) -> Tensor:
        torch.manual_seed(0)
        return super().features(lr)


@breaks("global_state_unchanged")
class DrawsFromNumPy(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        np.random.rand()  # noqa: NPY002 - that is what is wrong with it


@breaks("global_state_unchanged")
class DrawsFromPython(Sound):
    def features(self, lr: Tensor) -> Tensor:
        random.random()
        return super().features(lr)


@breaks("global_state_unchanged")
class ChangesThreads(Sound):
    def features(self, lr: Tensor) -> Tensor:
        torch.set_num_threads(3)
        return super().features(lr)


@breaks("global_state_unchanged")
class ChangesProductPrecision(Sound):
    def features(self, lr: Tensor) -> Tensor:
        torch.set_float32_matmul_precision("medium")
        return super().features(lr)


@breaks("no_file_or_network_access")
class ReadsAFile(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        with open(sys.executable, "rb"):
            pass


@breaks("no_file_or_network_access")
class LooksUpAnAddress(Sound):
    def features(self, lr: Tensor) -> Tensor:
        socket.getaddrinfo("127.0.0.1", 80)
        return super().features(lr)


@breaks("no_file_or_network_access")
class StartsAProcess(Sound):
    def auxiliary_loss(self) -> None:
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)


@breaks("onnx_export_runs")
class CannotTellWhyItIsNotExported(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        if not torch.compiler.is_compiling() and lr.shape[-1] == 17:
            raise ConfigError("Traceback (most recent call last):\n  17 is no width")
        return super().forward(lr, scale)
