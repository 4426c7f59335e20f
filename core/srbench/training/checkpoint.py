"""Checkpoints: everything that a training needs to resume, in one file that is written whole or not at all."""

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
    """Write a checkpoint; a tensor that is shared is stored once.

    Args:
        path: The file; it is replaced in one step.
        identity: What is being trained: plain values, compared when the checkpoint is loaded.
        state: Tensors and plain values in dicts, lists and tuples; nothing that needs code to be read.

    Raises:
        StoreError: It could not be written; an older checkpoint is still there, unharmed.
    """
    # Through memory: torch turns a full disk into errors of several kinds, and a file object does not.
    buffer = io.BytesIO()
    with _interrupts_deferred():
        torch.save({"srbench_checkpoint": _VERSION, "identity": identity, "state": state}, buffer)
    write_atomic(path, buffer.getvalue())


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done: `torch.save` loses one in 300 of those that arrive in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # None: not Python's. SIG_DFL and SIG_IGN: nothing is raised within the block.
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
    """Read the state of a checkpoint of this very training. No code in the file is run.

    Args:
        path: The file.
        identity: What is being trained; it must equal what `save_checkpoint` was given.

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
    except Exception as error:  # an unpickler that meets other bytes than a checkpoint's raises anything at all
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
    """Raise ConfigError where a file belongs to another training, naming what differs."""
    there, here = _flat(found), _flat(wanted)
    # A recipe leaves out what it does not use, so the other one's settings count too.
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
    """Return the values with the recipe's fields among them."""
    recipe = identity.get("recipe")
    values = {key: value for key, value in identity.items() if key != "recipe"}
    return {**values, **(recipe if isinstance(recipe, dict) else {})}


def _short(value: object) -> str:
    if value is None:
        return "none"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else f"'{text}'"
