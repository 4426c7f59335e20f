"""basicsr's `ARCH_REGISTRY` architectures as backbones: `basicsr/EDSR(num_feat=32)`, or registered under a name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.compat.basicsr import load_basicsr
from srbench.errors import ConfigError, NameSyntaxError, UnknownNameError, suggest
from srbench.models.backbone import Backbone
from srbench.registry.names import ArchitectureName, Value, value_from_object

load_basicsr()

import basicsr.archs  # noqa: E402, F401  # fills the registry
from basicsr.utils.registry import ARCH_REGISTRY  # noqa: E402

__all__ = ["LIBRARY", "BasicsrLibrary", "BasicsrNetwork", "basicsr_backbone", "network_name"]

_SCALE = ("upscale", "scale")
_CHANNELS = ("num_in_ch", "num_out_ch", "in_chans")
# Suffix that basicsr appends if another package has a class of the same name.
_SUFFIX = "_basicsr"
_PREFIX = "network."


class BasicsrNetwork(Backbone):
    """A network from basicsr's registry for one scale; its state dict has basicsr's keys.

    It declares no sharing sites, since basicsr's classes do not specify which layers may share weights.

    Args:
        scales: One scale.
        arch: Name in `ARCH_REGISTRY`.
        options: Arguments of its constructor; the scale and the number of channels are filled in.
        multiple: LR images are padded to a multiple of this many pixels, and the result is cropped.

    Raises:
        ConfigError: Several scales, an invalid option, or a network that does not map RGB to RGB at this scale.
    """

    def __init__(
        self, scales: tuple[int, ...], arch: str, options: Mapping[str, Any], multiple: int | None = None
    ) -> None:
        super().__init__(scales)
        if len(scales) != 1:
            raise ConfigError(f"basicsr's {arch} is a network for one scale; got {', '.join(map(str, scales))}")
        self.multiple = multiple or _multiple(arch, scales[0], options)
        self.network = _build(arch, scales[0], options)
        self._check_shape(arch)

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        height, width = lr.shape[-2:]
        down, right = -height % self.multiple, -width % self.multiple
        if down or right:
            # Reflection, as in basicsr's SwinIRModel, which is impossible for images narrower than the padding.
            mode = "reflect" if down < height and right < width else "replicate"
            lr = F.pad(lr, (0, right, 0, down), mode=mode)
        sr: Tensor = self.network(lr)
        return sr[..., : height * scale, : width * scale]

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # torch overloads it
        """Return the state dict with the keys of basicsr's class, so that its checkpoints fit."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        for key in list(state):
            state[key.removeprefix(_PREFIX)] = state.pop(key)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a state dict with basicsr's keys."""
        return super().load_state_dict({_PREFIX + key: value for key, value in state_dict.items()}, *args, **kwargs)

    @torch.no_grad()
    def _check_shape(self, arch: str) -> None:
        side, scale = -(-16 // self.multiple) * self.multiple, self.scales[0]
        training = self.network.training
        self.network.eval()
        try:
            made = self.network(torch.zeros(1, 3, side, side))
        except Exception as error:  # networks for video or faces may raise anything
            raise ConfigError(
                f"basicsr's {arch} cannot be used at scale {scale}: for an RGB image it fails with "
                f"{type(error).__name__}: {_first_line(error)}"
            ) from None
        finally:
            self.network.train(training)
        if not isinstance(made, Tensor) or made.shape != (1, 3, scale * side, scale * side):
            shape = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ConfigError(
                f"basicsr's {arch} does not map RGB to RGB at scale {scale}: it maps (1, 3, {side}, {side}) to {shape}"
            )


def basicsr_backbone(
    arch: str, *, multiple: int | None = None, **options: Any
) -> Callable[[tuple[int, ...]], BasicsrNetwork]:
    """Return the function that builds a basicsr architecture, for `register_backbone` or an entry point.

    Args:
        arch: Name in `ARCH_REGISTRY`; import the module that registers it first.
        multiple: LR images are padded to a multiple of this many pixels, and the result is cropped.
        options: Arguments of its constructor, without scale and channels.

    Raises:
        UnknownNameError: The name is not registered.
        ConfigError: The architecture has no such option, or no option for its scale.

    Example:
        >>> build = basicsr_backbone("EDSR", num_feat=8, num_block=1)
        >>> build((2,)).scales
        (2,)
    """
    _check_options(arch, options)

    def build(scales: tuple[int, ...]) -> BasicsrNetwork:
        return BasicsrNetwork(scales, arch, options, multiple)

    # Distinguishes two backbones if a name is registered twice.
    build.__qualname__ = f"basicsr_backbone({', '.join([arch, *(f'{k}={v!r}' for k, v in sorted(options.items()))])})"
    return build


class BasicsrLibrary:
    """The architectures of model names that begin with `basicsr/`."""

    def canonical(self, arch: str, args: Mapping[str, Value]) -> dict[str, Value]:
        """Return the arguments that differ from the architecture's defaults, to give each network a single name.

        Raises:
            UnknownNameError: basicsr has no such architecture.
            ConfigError: It has no such option.
        """
        parameters = _check_options(arch, args)
        return {key: value for key, value in args.items() if _python(value) != _comparable(parameters[key].default)}

    def backbone(self, arch: str, args: Mapping[str, Value]) -> Callable[[tuple[int, ...]], Backbone]:
        """Return the function that builds an architecture.

        Raises:
            UnknownNameError, ConfigError: As for `canonical`.
        """
        return basicsr_backbone(arch, **{key: _python(value) for key, value in args.items()})


LIBRARY = BasicsrLibrary()


def network_name(options: Mapping[str, Any], scale: int) -> str:
    """Return the model name for `network_g` of an option file.

    Args:
        options: `type` and the arguments of the constructor.
        scale: The option file's scale.

    Raises:
        UnknownNameError: basicsr has no such architecture.
        ConfigError: The network is for another scale or not for RGB images, an option is unknown, or a value cannot be
            written in a model name.
    """
    arch = str(options.get("type"))
    own = {key: value for key, value in options.items() if key not in ("type", *_SCALE, *_CHANNELS)}
    parameters = _check_options(arch, own)
    args: dict[str, Value] = {}
    for key, value in options.items():
        wanted = scale if key in _SCALE else 3 if key in _CHANNELS else None
        if wanted is not None and key in parameters:
            if value != wanted:
                what = f"the file's scale is {scale}" if key in _SCALE else "images here are RGB"
                raise ConfigError(f"'network_g.{key}' is {value!r}, and {what}; it must be {wanted}.")
        elif key in own and _comparable(value) != _comparable(parameters[key].default):
            args[key] = _spelled(key, value)
    return str(ArchitectureName("basicsr", arch, tuple(sorted(LIBRARY.canonical(arch, args).items()))))


def _spelled(key: str, value: Any) -> Value:
    try:
        spelled = value_from_object(value)
    except NameSyntaxError:
        spelled = None
    if spelled is None or _python(spelled) != _comparable(value):
        raise ConfigError(
            f"'network_g.{key}' is {value!r}, which cannot be written in a model name; register the architecture "
            "under a name with srbench.plugin.basicsr_backbone and give that name instead of network_g."
        )
    return spelled


def _class(arch: str) -> Any:
    known = {str(name).removesuffix(_SUFFIX): cls for name, cls in ARCH_REGISTRY}
    if arch not in known:
        usable = [name for name, cls in known.items() if set(_SCALE) & set(inspect.signature(cls).parameters)]
        raise UnknownNameError(
            f"unknown basicsr architecture '{arch}'" + suggest(arch, usable, noun="for SR there are")
        )
    return known[arch]


def _multiple(arch: str, scale: int, options: Mapping[str, Any]) -> int:
    """Return the number that the sizes of LR images must be a multiple of."""
    if arch == "RRDBNet":  # it starts with a pixel unshuffle at scales below 4
        return {1: 4, 2: 2}.get(scale, 1)
    if arch == "SwinIR":
        window = options.get("window_size", inspect.signature(_class(arch)).parameters["window_size"].default)
        return window if isinstance(window, int) and window > 0 else 1
    return 1


def _check_options(arch: str, options: Mapping[str, Any]) -> Mapping[str, inspect.Parameter]:
    parameters = inspect.signature(_class(arch)).parameters
    scale = next((key for key in _SCALE if key in parameters), None)
    if scale is None:
        raise ConfigError(
            f"basicsr's {arch} has no argument {' or '.join(_SCALE)}; it does not enlarge images by a scale"
        )
    settable = [key for key in parameters if key not in (scale, *_CHANNELS)]
    for key in options:
        if key == scale:
            raise ConfigError(f"the scale of basicsr's {arch} is the model's own, not an argument; leave out '{key}'")
        if key in _CHANNELS:
            raise ConfigError(f"networks here map RGB to RGB; leave out '{key}' of basicsr's {arch}")
        if key not in settable:
            raise ConfigError(f"basicsr's {arch} has no argument '{key}'" + suggest(key, settable, noun="arguments"))
    return parameters


def _build(arch: str, scale: int, options: Mapping[str, Any]) -> nn.Module:
    parameters = _check_options(arch, options)
    filled = {key: 3 for key in _CHANNELS if key in parameters}
    filled.update({key: scale for key in _SCALE if key in parameters})
    missing = [
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty and key not in {**filled, **options} and parameter.kind in (1, 3)
    ]
    if missing:
        raise ConfigError(f"basicsr's {arch} needs {', '.join(missing)}; give them as arguments")
    try:
        network: nn.Module = _class(arch)(**filled, **options)
    except Exception as error:  # constructors refuse values with various errors
        raise ConfigError(
            f"basicsr's {arch} refuses its arguments ({type(error).__name__}): {_first_line(error)}"
        ) from None
    for module in network.modules():
        # Constants kept as plain attributes would not follow the network to another device.
        for key, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                delattr(module, key)
                module.register_buffer(key, value, persistent=False)
    return network


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "no reason given"


def _python(value: Value) -> Any:
    """Convert an argument of a model name to a Python value: a fraction to a float, 6x6x6 to a list."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, str) and "x" in value and all(part.isdigit() for part in value.split("x")):
        return [int(part) for part in value.split("x")]
    return value


def _comparable(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default
