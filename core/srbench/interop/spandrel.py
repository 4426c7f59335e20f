"""Checkpoints of other projects as models: spandrel detects the architecture from the state dict.

Importing this module needs neither torch nor spandrel (extra `spandrel`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError, PluginError, WeightsError

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["SUFFIXES", "checkpoint_named", "load_checkpoint"]

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")


def checkpoint_named(model: str) -> Path | None:
    """Return the checkpoint path given as a model argument, or None if the argument is a model name.

    Raises:
        WeightsError: It looks like a checkpoint but does not exist, or was written by sr-bench, so it has no
            architecture.
        PluginError: spandrel is not installed.
    """
    from srbench.models.weight_files import saved_for
    from srbench.registry import is_model

    path = Path(model)
    if path.suffix.lower() not in SUFFIXES or (not path.is_file() and is_model(model)):
        return None
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint '{model}'; give an existing file, or a model's name")
    if (about := saved_for(path)) is not None:
        raise WeightsError(
            f"'{model}' has weights for '{about.model}'; give the model's name, and the file with --weights {model}"
        )
    if importlib.util.find_spec("spandrel") is None:
        raise PluginError(
            f"'{model}' is a checkpoint, and finding its architecture needs spandrel, which is not installed: "
            'pip install "sr-bench[spandrel]"'
        )
    return path


def load_checkpoint(path: Path, scale: int) -> Backbone:
    """Create a model from a checkpoint with an architecture known to spandrel, e.g. ESRGAN, SwinIR, HAT or SPAN.

    The file is read with torch's allow-list, like all checkpoints, and not by spandrel.

    Args:
        path: The file.
        scale: The scale that the network must have.

    Raises:
        WeightsError: The file is damaged or would run code, or spandrel does not know its architecture.
        ConfigError: The network has another scale, or does not take and return RGB images.
        PluginError: spandrel cannot be imported.
    """
    import torch

    from srbench.compat.torchvision import load_torchvision
    from srbench.models.weight_files import load_state

    state = load_state(path)
    load_torchvision("spandrel")
    try:
        import spandrel
    except ImportError as error:
        raise PluginError(
            f"spandrel cannot be imported: {error}. Install what it needs, or reinstall sr-bench[spandrel]."
        ) from error
    try:
        with torch.random.fork_rng(devices=[]):
            found = spandrel.ModelLoader().load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError:
        raise WeightsError(
            f"spandrel {spandrel.__version__} does not recognize the architecture of '{path}'; for an installed "
            f"backbone: `srbench eval MODEL --weights {path}`"
        ) from None
    except Exception as error:  # raised by constructors for weights that only resemble theirs
        raise WeightsError(
            f"'{path}' resembles an architecture known to spandrel but does not fit it "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'})"
        ) from None
    what = f"'{path}' ({found.architecture.name})"
    if not isinstance(found, spandrel.ImageModelDescriptor) or (found.input_channels, found.output_channels) != (3, 3):
        raise ConfigError(
            f"{what} does not map RGB to RGB: it takes {found.input_channels} and returns "
            f"{found.output_channels} channels, for the purpose '{found.purpose}'"
        )
    if found.scale != scale:
        raise ConfigError(f"{what} enlarges by {found.scale}; scale {scale} was asked for")
    return _adapted(found)


def _adapted(found: Any) -> Backbone:
    from torch import Tensor

    from srbench.models.backbone import Backbone

    class Checkpoint(Backbone):
        """A network from spandrel: RGB to RGB, clamped to 0..1, with images padded to the sizes that it accepts."""

        def __init__(self) -> None:
            super().__init__((found.scale,))
            self.network = found.eval().model
            # In a tuple, like all that is referred to and not registered; a deep copy of both stays one network.
            self._descriptor = (found,)

        def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
            """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
            self.select_scale(scale)
            sr: Tensor = self._descriptor[0](lr)
            return sr

    return Checkpoint()
