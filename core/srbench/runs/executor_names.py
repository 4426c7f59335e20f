"""Executors by name and arguments, e.g. `slurm(partition=gpu,gpus=1)`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from srbench.errors import ConfigError, PluginError, SRBenchError
from srbench.machine import read_devices
from srbench.registry.registries import EXECUTORS

__all__ = ["LOCAL", "make_cluster", "make_executor", "parse_executor"]

LOCAL = "local"
_FORM = re.compile(r"(?P<name>[A-Za-z0-9_.:-]+)(\((?P<arguments>[^()]*)\))?")
_VALUE = re.compile(r"[^\s,()=]{1,200}")


def parse_executor(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of an executor.

    Args:
        text: `NAME` or `NAME(key=value,...)`; whole and decimal numbers become numbers, all else stays text.

    Raises:
        ConfigError: The text has another form.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"executor '{text}' is not of the form NAME or NAME(key=value,...), e.g. slurm(partition=gpu)"
        )
    arguments: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in (match["arguments"] or "").split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key.isidentifier() or not equals or _VALUE.fullmatch(value) is None:
            raise ConfigError(f"'{part}' in executor '{text}' is not of the form key=value")
        if key in arguments:
            raise ConfigError(f"executor '{text}' is given '{key}' twice")
        arguments[key] = _number(value)
    return match["name"], arguments


def _number(text: str) -> int | float | str:
    if re.fullmatch(r"\d{1,12}", text):
        return int(text)
    return float(text) if re.fullmatch(r"\d{1,12}\.\d{1,12}", text) else text


def make_executor(text: str, folder: Path) -> Any:
    """Return an executor of a plugin.

    Args:
        text: `NAME` or `NAME(key=value,...)`.
        folder: Where its tasks keep logs and results.

    Raises:
        ConfigError: The text has another form, or the executor does not take an argument or its value.
        UnknownNameError, DuplicateNameError, PluginError: The name cannot be resolved.
    """
    name, arguments = parse_executor(text)
    factory = EXECUTORS.get(name)
    try:
        known = list(inspect.signature(factory).parameters)[1:]
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"executor '{name}' cannot be called; it must be a class whose first argument is a folder"
        ) from error
    for key in arguments:
        if key not in known:
            takes = ", ".join(known) if known else "no arguments"
            raise ConfigError(f"executor '{name}' does not take '{key}'; it takes {takes}")
    try:
        return factory(folder, **arguments)
    except SRBenchError:
        raise
    except Exception as error:  # a plugin may fail in any way
        raise PluginError(f"executor '{name}' cannot be made: {type(error).__name__}: {error}") from error


def make_cluster(text: str, folder: Path, device: str) -> Any:
    """Return an executor of a plugin, for a run with a device.

    Args:
        text: `NAME` or `NAME(key=value,...)`.
        folder: Where its tasks keep logs and results.
        device: The device that the user chose.

    Raises:
        ConfigError: The device is several GPUs, or the CPU although tasks ask for GPUs; or as for `make_executor`.
        UnknownNameError, DuplicateNameError, PluginError: The name cannot be resolved.
    """
    name, _ = parse_executor(text)
    devices = read_devices(device)
    if len(devices) > 1:
        raise ConfigError(
            f"--device {device} is for the local executor; a cluster's scheduler assigns GPUs, so give --device "
            f"cuda and {name}(gpus=1)"
        )
    executor = make_executor(text, folder)
    if devices[0] == "cpu" and (gpus := getattr(executor, "gpus", 0)):
        raise ConfigError(
            f"executor '{name}' asks for gpus={gpus}, but with --device cpu its tasks would not use them; give "
            "--device cuda, or leave out gpus"
        )
    return executor
