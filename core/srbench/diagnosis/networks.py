"""The network under diagnosis: with each state dict of its file, in other value ranges and channel orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from srbench.errors import ConfigError, WeightsError
from srbench.interop.spandrel import SUFFIXES, checkpoint_named, load_checkpoint
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.surgery import deployed
from srbench.models.weight_files import StateDict, load_checked, saved_for
from srbench.models.weight_keys import state_dicts
from srbench.models.weight_sources import WeightSource
from srbench.registry import WEIGHTS, canonical_name, tagged_source
from srbench.registry.names import ModelName

__all__ = ["VALUE_RANGES", "Subject", "ValueRange", "open_subject"]

Convert = Callable[[StateDict], StateDict]

WHOLE_FILE = "the file's only state dict"
NO_WEIGHTS = "none"

# Mean color of DIV2K, which EDSR and its descendants subtract.
_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class ValueRange(NamedTuple):
    """How values in 0..1 are changed before a network and back behind it.

    Attributes:
        gain: Factor on the network's input.
        back: Divisor of its output.
        subtract: Subtracted from the input before the factor.
        add: Added to the output after the division.
    """

    gain: float = 1.0
    back: float = 1.0
    subtract: tuple[float, float, float] = (0.0, 0.0, 0.0)
    add: tuple[float, float, float] = (0.0, 0.0, 0.0)


VALUE_RANGES = {
    "as defined": ValueRange(),
    "0..255": ValueRange(255.0, 255.0),
    "0..1 given to 0..255": ValueRange(1 / 255, 1 / 255),
    "mean-shifted": ValueRange(1.0, 1.0, _DIV2K_MEAN, _DIV2K_MEAN),
    "mean-shifted, 0..255": ValueRange(255.0, 255.0, _DIV2K_MEAN, _DIV2K_MEAN),
    "-1..1": ValueRange(2.0, 2.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0..255 in, 0..1 out": ValueRange(255.0, 1.0),
}
"""Ranges by name, the most likely first. The names say what is given to the network as its class takes it."""


class Adapted(nn.Module):
    """A network in another value range or channel order; RGB in 0..1 outside."""

    def __init__(self, network: Backbone, value_range: ValueRange, *, bgr: bool) -> None:
        super().__init__()
        self.network = network
        self.value_range = value_range
        self.bgr = bgr

    def forward(self, lr: Tensor, scale: int) -> Tensor:
        """Return the SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)`."""
        gain, back, subtract, add = self.value_range
        x = lr.flip(1) if self.bgr else lr
        if self.value_range != VALUE_RANGES["as defined"]:
            x = (x - lr.new_tensor(subtract)[:, None, None]) * gain
        sr = self.network.image(self.network(x, scale))
        if self.value_range != VALUE_RANGES["as defined"]:
            sr = sr / back + lr.new_tensor(add)[:, None, None]
        return sr.flip(1) if self.bgr else sr

    def image(self, outputs: Tensor) -> Tensor:
        """Return the SR image: the output itself."""
        return outputs


@dataclass
class Subject:
    """A network, and the state dicts that it may be given.

    Attributes:
        label: What the user gave.
        network: The network with its default weights, as it is deployed.
        scale: The scale.
        default: Name of the default weights.
        states: State dicts in the network's own keys, by name.
        unusable: Other state dicts of the file, and why the network does not take them.
    """

    label: str
    network: Backbone
    scale: int
    default: str
    states: dict[str, StateDict] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    build: Callable[[StateDict], Backbone] | None = None
    _loaded: str = ""

    def adapted(self, weights: str, value_range: str, channels: str) -> Adapted:
        """Return the network with other weights, range or channel order."""
        if weights != (self._loaded or self.default):
            assert self.build is not None  # there is one wherever there are several state dicts
            self.network, self._loaded = self.build(self.states[weights]), weights
        return Adapted(self.network, VALUE_RANGES[value_range], bgr=channels == "bgr").eval()


def open_subject(model: str, scale: int, network: str | None = None) -> Subject:
    """Open what a user wants diagnosed.

    Args:
        model: A model with a tag, or a weights file.
        scale: The scale.
        network: For a file: the model that it belongs to. A tag here means that the file has the layout of the tag's
            own files.

    Raises:
        ConfigError: There are no weights, or the network does not have the scale.
        WeightsError: No state dict of the file fits the network.
        SRBenchError: As for loading a network.
    """
    path = Path(model)
    is_file = path.is_file() or (path.suffix.lower() in SUFFIXES and network is not None)
    if not is_file:
        if network is not None:
            raise ConfigError(f"--model names the network of a weights file, and '{model}' is no file; leave it out")
        return _of_name(model, scale)
    if network is None:
        about = saved_for(path)
        if about is None:
            found = checkpoint_named(model)
            if found is None:
                raise ConfigError(f"'{model}' does not say which network it is for; give --model NAME")
            return Subject(model, deployed(load_checkpoint(found, scale), scale), scale, "as spandrel reads the file")
        network = about.model
    return _of_file(model, path, canonical_name(network), scale)


def _of_name(model: str, scale: int) -> Subject:
    name = canonical_name(model)
    if name.tag is None:
        built = create_model(name, scale=scale)
        if any(True for _ in built.parameters()):
            raise ConfigError(
                f"'{model}' names no weights; give a tag (`srbench list models`), or a weights file and --model {model}"
            )
        return Subject(model, deployed(built, scale), scale, NO_WEIGHTS)
    source: WeightSource = tagged_source(name).serving(scale)
    if source.read is not None:
        return Subject(model, deployed(create_model(name, scale=scale), scale), scale, WHOLE_FILE)
    found = _subject(model, source.file(), name, scale, source.scales, [source.convert])
    if source.key is not None and source.key in found.states:
        found.default = source.key
        found.network = found.adapted(source.key, "as defined", "rgb").network
    return found


def _of_file(label: str, path: Path, name: ModelName, scale: int) -> Subject:
    about = saved_for(path)
    scales = about.scales if about is not None and scale in about.scales else (scale,)
    converts: list[Convert | None] = [None]
    if name.tag is not None:
        converts.append(tagged_source(name).serving(scale).convert)
    else:
        # The authors' file may have names of its own, which a tag of the same network knows.
        prefix = f"{ModelName(name.backbone, name.method)}."
        tags = [tag for tag in WEIGHTS.names() if tag.startswith(prefix)]
        converts += [source.convert for tag in tags for source in WEIGHTS.get(tag).sources if scale in source.scales]
    return _subject(label, path, name, scale, scales, list(dict.fromkeys(converts)))


def _subject(
    label: str, path: Path, name: ModelName, scale: int, scales: tuple[int, ...], converts: list[Convert | None]
) -> Subject:
    def build(state: StateDict) -> Backbone:
        model = create_model(name, scales=scales, pretrained=False if name.tag is not None else None, seed=0)
        load_checked(model, state, label)
        return deployed(model if model.scales == (scale,) else model.at_scale(scale), scale).eval()

    states: dict[str, StateDict] = {}
    unusable: dict[str, str] = {}
    network: Backbone | None = None
    for key, state in state_dicts(path).items():
        shown = key or WHOLE_FILE
        why = ""
        for convert in converts:
            try:
                fitting = state if convert is None else convert(state)
                made = build(fitting)
            except (KeyError, IndexError, ValueError, RuntimeError) as error:  # a converter for files of another layout
                why = why or f"its layout is another ({type(error).__name__}: {error})"
                continue
            except WeightsError as error:
                why = str(error)
                continue
            states[shown] = fitting
            network = made if network is None else network
            break
        else:
            unusable[shown] = why
    if network is None:
        raise WeightsError(
            f"no state dict in '{label}' fits '{name}' at x{scale}: "
            + "; ".join(f"{key}: {why}" for key, why in unusable.items())
        )
    default = next(iter(states))
    return Subject(label, network, scale, default, states, unusable, build, default)
