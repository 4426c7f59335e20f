"""basicsr option files as trainings, with a list of keys that are not honoured."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srbench.errors import ConfigError, SRBenchError, suggest
from srbench.training.recipe import load_recipe, make_recipe

__all__ = ["BasicsrOptions", "read_options"]

_MODEL_TYPES = ("SRModel", "SwinIRModel")
_NO_EFFECT = "has no counterpart here: decoded images are kept in memory, and batches are drawn by seed and iteration"
_ONE_DEVICE = "a training runs on one device (--device)"
_REASONS = {
    "dist_params": _ONE_DEVICE,
    "find_unused_parameters": _ONE_DEVICE,
    "network_d": "no discriminator is trained",
    "val.save_img": "validation saves no images; `srbench eval --save-images` does",
    "val.pbar": "there is one progress bar",
    "val.metrics": "psnr_y and ssim_y are measured, according to --protocol",
    "val.suffix": "validation saves no images",
    "logger.print_freq": "progress is shown a few times a second",
    "logger.wandb": "there are logs for TensorBoard only",
    "path.strict_load_g": "weights must always match the network in every key",
    "path.param_key_g": "if a file has both, params_ema is loaded rather than params",
    **dict.fromkeys(
        (
            *(f"datasets.train.{key}" for key in ("use_shuffle", "num_worker_per_gpu", "dataset_enlarge_ratio")),
            *(f"datasets.train.{key}" for key in ("prefetch_mode", "num_prefetch_queue", "pin_memory", "io_backend")),
        ),
        _NO_EFFECT,
    ),
    "datasets.train.filename_tmpl": "it names LR files, which are not read",
    "datasets.train.meta_info_file": "all images of dataroot_gt are used; a text file with a list of images can be "
    "given as --data",
}
_UNKNOWN = "the key is unknown"


@dataclass(frozen=True)
class BasicsrOptions:
    """A training defined by an option file.

    Attributes:
        name: The experiment's name.
        model: The model's canonical name.
        scale: The scale.
        recipe: The recipe's values.
        data: Folder of the HR training images, or None if the file has none.
        val: Folder of the HR validation images, or None.
        weights: A checkpoint to start from, or None.
        tensorboard: Whether TensorBoard logs are written.
        not_honoured: Keys that have no effect, with the reason, such as `num_gpu: ...`, in the file's order.
    """

    name: str
    model: str
    scale: int
    recipe: dict[str, Any]
    data: str | None
    val: str | None
    weights: Path | None
    tensorboard: bool
    not_honoured: tuple[str, ...]


def read_options(path: Path) -> BasicsrOptions:
    """Read a basicsr option file for a super-resolution model.

    Args:
        path: The YAML file, in the form of basicsr's `options/train/*.yml`; folders in it are relative to the working
            directory, as in basicsr.

    Raises:
        ConfigError: The file is not YAML, is for another kind of model, contradicts itself, or has settings that
            would change the training; the message begins with the file's name.
        UnknownNameError: The architecture is unknown.
    """
    values = load_recipe(path, noun="option file")
    try:
        return _Reader(values).read()
    except SRBenchError as error:
        raise type(error)(f"option file {path}: {error}") from None


class _Reader:
    """Reader of an option file that tracks which keys are used; the rest is not honoured."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.order = dict(_paths(values))
        self.taken: set[str] = set()
        self.reasons: dict[str, str] = {}

    def read(self) -> BasicsrOptions:
        name = self._name()
        kind = self.take("model_type", "SRModel")
        if kind not in _MODEL_TYPES:
            raise ConfigError(
                f"'model_type' is {kind!r}, and option files of {' and '.join(_MODEL_TYPES)} are read: networks that "
                "are trained by a loss between SR and HR image alone."
            )
        scale = self.take("scale", None)
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ConfigError(f"'scale' is {scale!r}; it must be a whole number such as 4.")
        recipe = {**self._data_settings(scale), **self._train_settings(), **self._intervals()}
        weights = self._weights()
        model = self._model(scale)
        data, val = self._folder("datasets.train"), self._validation()
        tensorboard = bool(self.take("logger.use_tb_logger", False))
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            tensorboard = False
            self.refuse_quietly("logger.use_tb_logger", "TensorBoard is not installed")
        make_recipe(recipe, source="its settings").check_scales((scale,))
        return BasicsrOptions(name, model, scale, recipe, data, val, weights, tensorboard, tuple(self._not_honoured()))

    def take(self, path: str, default: Any) -> Any:
        """Return a value and mark it as honoured; an absent or empty key gives the default."""
        value: Any = self.values
        for part in path.split("."):
            if not isinstance(value, Mapping):
                parent = path.rpartition(".")[0]
                raise ConfigError(f"'{parent}' is {value!r}; it must be a mapping.")
            if part not in value:
                return default
            value = value[part]
        self.taken.add(path)
        return default if value is None else value

    def section(self, path: str) -> dict[str, Any]:
        """Return a whole mapping and mark it as honoured; empty if absent."""
        value = self.take(path, {})
        if not isinstance(value, Mapping):
            raise ConfigError(f"'{path}' is {value!r}; it must be a mapping.")
        return {str(key): item for key, item in value.items()}

    def refuse_quietly(self, path: str, reason: str) -> None:
        """Record a key that has no effect."""
        self.taken.discard(path)
        self.reasons[path] = reason

    def _name(self) -> str:
        name = str(self.take("name", "basicsr"))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
            raise ConfigError(
                f"'name' is {name!r}, and a folder is named after it; take letters, digits, '.', '_', '+' and '-'."
            )
        return name

    def _model(self, scale: int) -> str:
        from srbench.interop.basicsr_backbone import network_name

        network = self.section("network_g")
        if not isinstance(network.get("type"), str):
            raise ConfigError("'network_g.type' is missing; give an architecture such as EDSR.")
        return network_name(network, scale)

    def _data_settings(self, scale: int) -> dict[str, Any]:
        kind = self.take("datasets.train.type", "PairedImageDataset")
        if kind != "PairedImageDataset":
            raise ConfigError(
                f"'datasets.train.type' is {kind!r}; PairedImageDataset is read, as LR images are made from HR images."
            )
        for key in ("mean", "std", "color"):
            if self.take(f"datasets.train.{key}", None) is not None:
                raise ConfigError(
                    f"'datasets.train.{key}' changes the input of the network, which is RGB in 0..1 here."
                )
        batch = self.take("datasets.train.batch_size_per_gpu", 16)
        gpus = self.take("num_gpu", 1)
        if gpus not in (0, 1):
            counted = gpus if isinstance(gpus, int) and not isinstance(gpus, bool) and gpus > 1 else 1
            batch = batch * counted if isinstance(batch, int) else batch
            self.refuse_quietly(
                "num_gpu", f"{_ONE_DEVICE}; a batch has batch_size_per_gpu x {counted} = {batch} patches"
            )
        settings = {
            "batch_size": batch,
            "gt_size": self.take("datasets.train.gt_size", None),
            "hflip": self.take("datasets.train.use_hflip", False),
            "rot90": self.take("datasets.train.use_rot", False),
            "seed": self.take("manual_seed", 0),
        }
        if settings["gt_size"] is None:
            raise ConfigError("'datasets.train.gt_size' is missing; give the side of the HR patches.")
        lr = self.take("datasets.train.dataroot_lq", None)
        if lr is not None:
            self.refuse_quietly(
                "datasets.train.dataroot_lq",
                f"LR images are made from dataroot_gt with Matlab's bicubic, at scale {scale}",
            )
        return settings

    def _train_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"iterations": self.take("train.total_iter", None)}
        if settings["iterations"] is None:
            raise ConfigError("'train.total_iter' is missing; give the number of iterations.")
        settings["ema_decay"] = self.take("train.ema_decay", 0)
        warmup = self.take("train.warmup_iter", -1)
        settings["warmup"] = 0 if warmup == -1 else warmup
        settings.update(self._optimizer())
        settings.update(self._losses())
        scheduler = self.section("train.scheduler")
        if scheduler:
            settings["scheduler"] = _scheduler(scheduler)
        return settings

    def _optimizer(self) -> dict[str, Any]:
        from srbench.training.optimizers import optimizer_class

        options = self.section("train.optim_g")
        name = options.pop("type", None)
        if not isinstance(name, str) or "lr" not in options:
            raise ConfigError("'train.optim_g' needs 'type' and 'lr', such as {type: Adam, lr: 0.0002}.")
        try:
            parameters = inspect.signature(optimizer_class(name)).parameters
        except ValueError as error:
            raise ConfigError(f"'train.optim_g': {error}.") from None
        settings: dict[str, Any] = {"optimizer": name, "lr": options.pop("lr")}
        for key in ("betas", "weight_decay"):
            # Options missing in the file have torch's defaults, not those of recipes.
            if key in options:
                settings[key] = options.pop(key)
            elif key in parameters:
                settings[key] = parameters[key].default
        return {**settings, "optimizer_options": options} if options else settings

    def _losses(self) -> dict[str, Any]:
        losses = []
        for key in ("pixel_opt", "perceptual_opt"):
            spec = self.section(f"train.{key}")
            if spec and not isinstance(spec.get("type"), str):
                raise ConfigError(f"'train.{key}.type' is missing; give a loss such as L1Loss.")
            if spec:
                losses.append(spec)
        if not losses:
            raise ConfigError("'train' has neither 'pixel_opt' nor 'perceptual_opt'; give a loss.")
        for key in ("gan_opt", "ldl_opt"):
            if self.take(f"train.{key}", None):
                raise ConfigError(f"'train.{key}' is a loss that SRModel does not compute; remove it.")
        main, *extra = losses
        options = {key: value for key, value in main.items() if key != "type"}
        if main["type"] == "CharbonnierLoss":
            options.setdefault("eps", 1e-12)  # basicsr's default; the default of recipes is LapSRN's
        elif options == {"loss_weight": 1.0, "reduction": "mean"}:
            options = {}  # the defaults, so that the recipe equals that of a file without these keys
        settings: dict[str, Any] = {"loss": main["type"]}
        if options:
            settings["loss_options"] = options
        if extra:
            settings["extra_losses"] = extra
        return settings

    def _intervals(self) -> dict[str, Any]:
        found = {
            "validate_every": self.take("val.val_freq", None),
            "checkpoint_every": self.take("logger.save_checkpoint_freq", None),
        }
        return {
            key: int(value) if isinstance(value, float) and value.is_integer() else value
            for key, value in found.items()
            if value is not None
        }

    def _weights(self) -> Path | None:
        if self.take("path.resume_state", None) is not None:
            raise ConfigError(
                "'path.resume_state' is a state of basicsr, which lacks what a bit-exact resume needs; take it out "
                "(a training here resumes from its own checkpoint), or start from weights with pretrain_network_g."
            )
        weights = self.take("path.pretrain_network_g", None)
        if weights is None:
            self.taken.update(("path.strict_load_g", "path.param_key_g"))
            return None
        if self.take("path.strict_load_g", True) is not False:
            self.taken.add("path.strict_load_g")
        else:
            raise ConfigError("'path.strict_load_g' is false, and weights have to fit the network in every key here.")
        if self.take("path.param_key_g", "params_ema") != "params_ema":
            self.refuse_quietly("path.param_key_g", _REASONS["path.param_key_g"])
        return Path(str(weights))

    def _folder(self, section: str) -> str | None:
        folder = self.take(f"{section}.dataroot_gt", None)
        self.taken.update((f"{section}.name", f"{section}.type"))
        if folder is not None and str(folder).rstrip("/").endswith(".lmdb"):
            raise ConfigError(
                f"'{section}.dataroot_gt' is an LMDB file; give the folder of images that it was made from."
            )
        return None if folder is None else str(folder)

    def _validation(self) -> str | None:
        sections = [key for key in self.section("datasets") if str(key).split("_")[0] == "val"]
        self.taken.discard("datasets")
        found = None
        for number, key in enumerate(sections):
            if number == 0:
                found = self._folder(f"datasets.{key}")
                if self.take(f"datasets.{key}.dataroot_lq", None) is not None:
                    self.refuse_quietly(f"datasets.{key}.dataroot_lq", "LR images are made according to --protocol")
                self.taken.add(f"datasets.{key}.io_backend")
            else:
                self.refuse_quietly(f"datasets.{key}", "one set is validated on; `srbench eval` measures others")
        return found

    def _not_honoured(self) -> Iterable[str]:
        for path in self.order:
            parts = path.split(".")
            above = {".".join(parts[: length + 1]) for length in range(len(parts) - 1)}
            if path in self.taken or above & (self.taken | set(self.reasons) | set(_REASONS)):
                continue  # honoured, or part of a mapping that is listed as a whole
            if path in self.reasons:
                yield f"{path}: {self.reasons[path]}"
            elif not _says_something(self.order[path]):
                continue
            elif path in _REASONS:
                yield f"{path}: {_REASONS[path]}"
            elif not any(other.startswith(f"{path}.") for other in self.order):  # else its parts are listed
                yield f"{path}: {_UNKNOWN}"


def _says_something(value: Any) -> bool:
    return any(map(_says_something, value.values())) if isinstance(value, Mapping) else value is not None


def _paths(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the dotted path of every key with its value, and mappings before their content."""
    for key, value in values.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{key}.")


def _scheduler(options: dict[str, Any]) -> dict[str, Any]:
    """Convert a scheduler to recipe settings, with basicsr's defaults."""
    kind = options.get("type")
    if kind in ("MultiStepLR", "MultiStepRestartLR"):
        values = {"gamma": 0.1, **options, "type": "MultiStepRestartLR"}
        if (values.get("restarts", [0]), values.get("restart_weights", [1])) == ([0], [1]):
            values.pop("restarts", None)
            values.pop("restart_weights", None)
        return values
    if kind == "CosineAnnealingRestartLR":
        return {"restart_weights": [1], "eta_min": 0, **options}
    known = ("MultiStepLR", "MultiStepRestartLR", "CosineAnnealingRestartLR")
    raise ConfigError(f"'train.scheduler.type' is {kind!r}" + suggest(str(kind), known, noun="basicsr has"))
