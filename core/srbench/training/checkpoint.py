"""Checkpoints: everything needed to resume a training, in one file that is written atomically."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from srbench.errors import ConfigError, StoreError
from srbench.storage import write_atomic
from srbench.untrusted import CHECKPOINT_LIMIT, check_archive, check_regular

__all__ = ["check_identity", "load_checkpoint", "save_checkpoint"]

_VERSION = 1


def save_checkpoint(path: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a checkpoint; shared tensors are stored once.

    Args:
        path: The file; it is replaced atomically.
        identity: What is being trained, as plain values that are compared when the checkpoint is loaded.
        state: Tensors and plain values in dicts, lists and tuples; nothing that needs code to be read.

    Raises:
        StoreError: It could not be written; the previous checkpoint is unchanged.
    """
    # Serialize in memory: on a full disk torch raises various errors, a file object only OSError.
    buffer = io.BytesIO()
    with _interrupts_deferred():
        torch.save({"srbench_checkpoint": _VERSION, "identity": identity, "state": state}, buffer)
    write_atomic(path, buffer.getvalue())


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the end of the block: `torch.save` loses one in 300 signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # None: not installed from Python. SIG_DFL and SIG_IGN: nothing is raised within the block.
        if callable(handler):
            before[number] = signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in arrived[:1]:
            signal.raise_signal(first)


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Read the state of this training's checkpoint, without running code from the file.

    Args:
        path: The file.
        identity: What is being trained; it must equal the identity given to `save_checkpoint`.

    Raises:
        StoreError: The file cannot be read or is not a checkpoint.
        ConfigError: It belongs to another training; the message says what differs.
    """
    check_regular(path, CHECKPOINT_LIMIT, "checkpoint", StoreError)
    try:
        check_archive(path, StoreError)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except StoreError:
        raise
    except Exception as error:  # on bytes that are not a checkpoint an unpickler can raise any exception
        raise StoreError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); "
            "remove it, or train with --no-resume, to start again."
        ) from error
    if not isinstance(content, dict) or content.get("srbench_checkpoint") != _VERSION:
        raise StoreError(
            f"{path} is not a checkpoint of this version of sr-bench; "
            "remove it, or train with --no-resume, to start again."
        )
    found, state = content.get("identity"), content.get("state")
    if not isinstance(found, dict) or not isinstance(state, dict):
        raise StoreError(f"{path} is a damaged checkpoint; remove it, or train with --no-resume, to start again.")
    check_identity(path, found, identity)
    return state


def check_identity(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ConfigError if a file belongs to another training, listing the differences."""
    there, here = _flat(found), _flat(wanted)
    # A recipe omits settings that it does not use, so compare the other one's settings too.
    recipe = found.get("recipe")
    more = recipe if isinstance(recipe, dict) and wanted.get("recipe") else {}
    keys = dict.fromkeys([*here, *more])
    differences = [
        f"{key} is {_short(there.get(key))}, asked for is {_short(here.get(key))}"
        for key in keys
        if there.get(key) != here.get(key)
    ]
    if differences:
        raise ConfigError(
            f"{path} belongs to another training: {'; '.join(differences)}. "
            "Choose another folder with --out, or start again there with --no-resume."
        )


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the recipe's fields merged in."""
    recipe = identity.get("recipe")
    values = {key: value for key, value in identity.items() if key != "recipe"}
    return {**values, **(recipe if isinstance(recipe, dict) else {})}


def _short(value: object) -> str:
    if value is None:
        return "none"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else f"'{text}'"
