"""A deliberately broken network or method fails exactly the check named for what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.sites import SharingSite
from srbench.registry.registries import BACKBONES, METHODS, Registry
from srbench.testing import CHECKS, CheckFailedError, parametrize_with_checks, run_checks


class Sound(Backbone):
    """A small network for several scales that keeps every law; the broken ones below differ from it in one thing."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("second", kind="conv", bank="b", tie="t")]

    def features(self, lr: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(lr))))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        scale = self.select_scale(scale)
        return self.last(F.interpolate(self.features(lr), scale_factor=scale))


class WrongSites(Sound):
    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("third", kind="conv", bank="b", tie="t")]


class WrongShape(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return super().forward(lr, scale).mean(1, keepdim=True)


class Noisy(Sound):
    def features(self, lr: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return super().features(lr) + (self.calls % 2) * 1e-5


class MixesTheBatch(Sound):
    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr) + lr.mean()


class WritesItsInput(Sound):
    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr.clamp_(max=0.5))


class UnusedLayer(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.unused = nn.Conv2d(6, 6, 1)


class RegisteredTwice(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.again = self.second


class HiddenState(Sound):
    """A weight that the state dict does not hold, drawn when the network is made."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.gain = float(torch.rand(()))

    def features(self, lr: Tensor) -> Tensor:
        return super().features(lr) * self.gain


class LosesSharingWhenCopied(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.again = _Reference(self.second)

    def features(self, lr: Tensor) -> Tensor:
        return self.again(super().features(lr))


class _Reference(nn.Module):
    """A reference that a deep copy does not follow: the copy still uses the original's layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.call = lambda x: layer(x)  # noqa: PLW0108 - a function that a deep copy does not look into

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


class UnregisteredTensor(Sound):
    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.kernel = torch.ones(6, 6, 1, 1)

    def features(self, lr: Tensor) -> Tensor:
        return F.conv2d(super().features(lr), self.kernel)


class WrongView(Sound):
    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return super().forward(lr, scale) * len(self.scales)


class Doubling(SharingMethod):
    """A method whose folded layer computes something else."""

    def replace(self, site: SharingSite, module: nn.Module, shared: Any, scales: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(module)

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module:
        plain = nn.Conv2d(6, 6, 3, padding=1)
        plain.load_state_dict({key: 2 * value for key, value in module[0].state_dict().items()})
        return plain


@contextmanager
def registered(registry: Registry, name: str, obj: object) -> Iterator[None]:
    registry.add(name, obj)
    try:
        yield
    finally:
        registry.remove(name)


def outcome(cls: type[Backbone], suffix: str = "") -> dict[str, str]:
    def build(scales: tuple[int, ...]) -> Backbone:
        return cls(scales)

    with registered(BACKBONES, "under_check", build):
        return run_checks(f"under_check{suffix}", (2, 3))


def failed(result: dict[str, str]) -> set[str]:
    return {name for name, text in result.items() if text.startswith("failed")}


def test_a_sound_network_passes_every_check() -> None:
    result = outcome(Sound)
    assert not failed(result)
    assert {name for name, text in result.items() if text != "passed"} == {"fold_equals_unfolded"}


BROKEN = {
    "sites_exist": WrongSites,
    "output_shape": WrongShape,
    "deterministic": Noisy,
    "batch_independent": MixesTheBatch,
    "input_unchanged": WritesItsInput,
    "gradients_reach_every_parameter": UnusedLayer,
    "each_tensor_stored_once": RegisteredTwice,
    "state_dict_round_trip": HiddenState,
    "deepcopy_keeps_sharing": LosesSharingWhenCopied,
    "dtype_reaches_everything": UnregisteredTensor,
    "single_scale_view_equals_network": WrongView,
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_broken_network_fails_exactly_its_check(check: str) -> None:
    assert failed(outcome(BROKEN[check])) == {check}


def test_a_method_that_folds_wrongly_fails_exactly_its_check() -> None:
    with registered(METHODS, "doubling", Doubling):
        assert failed(outcome(Sound, "+doubling")) == {"fold_equals_unfolded"}


def test_every_check_has_a_network_that_it_catches() -> None:
    assert {*BROKEN, "fold_equals_unfolded"} == set(CHECKS)


class NoisyAndUnused(Noisy):
    """Break two laws at once."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.unused = nn.Conv2d(1, 1, 1)


def check_under_pytest(cls: type[Backbone]) -> None:
    """Do what the decorated test of a plugin does for one model."""
    (case,) = parametrize_with_checks([("under_check", (2, 3))]).mark.args[1]  # type: ignore[attr-defined]
    assert case.id == "under_check-x2x3"
    model, check = case.values

    def build(scales: tuple[int, ...]) -> Backbone:
        return cls(scales)

    with registered(BACKBONES, "under_check", build):
        check(model, max_examples=2)


def test_a_plugin_has_one_test_for_each_model() -> None:
    names, cases = parametrize_with_checks(["edsr_tiny", ("edsr_tiny", (3,))]).mark.args  # type: ignore[attr-defined]
    assert (names, [case.id for case in cases]) == (("model", "check"), ["edsr_tiny", "edsr_tiny-x3"])
    check_under_pytest(Sound)


def test_one_failing_check_is_raised_as_it_is_and_named() -> None:
    with pytest.raises(CheckFailedError, match="changed its input") as caught:
        check_under_pytest(WritesItsInput)
    assert "'under_check-x2x3' fails the check 'input_unchanged'" in caught.value.__notes__


def test_several_failing_checks_are_all_reported() -> None:
    with pytest.raises(ExceptionGroup, match=f"fails 2 of {len(CHECKS)} checks") as caught:
        check_under_pytest(NoisyAndUnused)
    notes = [note for error in caught.value.exceptions for note in error.__notes__ if "fails the check" in note]
    assert [note.rpartition(" ")[2] for note in notes] == ["'deterministic'", "'gradients_reach_every_parameter'"]
