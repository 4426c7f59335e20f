"""Checks that a network has no side effects: on global state, files or connections."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from srbench.models.surgery import fold
from srbench.testing.subject import Check, CheckSkipped, Example, Subject, require, sr_image

__all__ = ["ISOLATION", "preserved_state"]

_State = dict[str, Any]  # name -> value, or a digest of it

# Looking up a model by name reads the list of installed distributions.
_METADATA = re.compile(r"\.(dist|egg)-info[/\\]")
_EVENTS = ("open", "socket.", "subprocess.", "os.system", "os.remove", "os.rename", "os.mkdir", "shutil.", "urllib.")
# Modules that are imported late, and information about the system.
_ALLOWED_ENDS = (".py", ".pyc", ".so", ".pyi", ".pth", ".dll", ".pyd", "METADATA", "entry_points.txt")
_ALLOWED_STARTS = ("/proc/", "/sys/", "/dev/", "<")


def check_global_state_unchanged(subject: Subject, example: Example) -> None:
    """Creating, running and folding a network does not change random state, default dtype, threads or gradient mode.

    The random state may advance when a network is created without a seed and in training, which draw from it.
    """
    with preserved_state():
        before = _state()
        for what, act in _actions(subject, example):
            _do(act)
            after = _state()
            for name, value in before.items():
                require(
                    after[name] == value,
                    f"{what} changed {name}" + ("" if isinstance(value, bytes) else f": {value} to {after[name]}"),
                )


def check_no_file_or_network_access(subject: Subject, example: Example) -> None:
    """Creating, running and folding a network opens no file and no connection, and starts no process."""
    with preserved_state():
        for _, act in _actions(subject, example):
            _do(act)  # late imports are allowed
        for what, act in _actions(subject, example):
            with _watched() as seen:
                _do(act)
            require(not seen, f"{what} {seen[0] if seen else ''}")


def _actions(subject: Subject, example: Example) -> Iterator[tuple[str, Callable[[], object]]]:
    model = subject.make(example.seed).eval()
    lr = example.images()
    yield "creating the network", lambda: subject.make(example.seed)
    for scale in subject.scales:
        yield f"the forward pass at x{scale}", lambda scale=scale: sr_image(model, lr, scale)  # type: ignore[misc]
        if model.method is not None:
            yield f"folding at x{scale}", lambda scale=scale: fold(model, scale)  # type: ignore[misc]
    yield "on_step", lambda: model.on_step(1, 2)
    yield "the loss", lambda: _loss(subject, example)


def _do(act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # the model's own code may fail in any way
        raise CheckSkipped("it does not run; another check reports why") from error


def _loss(subject: Subject, example: Example) -> None:
    """Do a forward and a backward pass of training, whose random draws are restored."""
    with torch.random.fork_rng(devices=[]):
        model = subject.make(example.seed).train()
        for scale in subject.scales:
            hr = torch.zeros(example.batch, 3, example.height * scale, example.width * scale)
            loss = model.loss(model(example.images(), scale), model.targets(hr, scale), nn.functional.l1_loss)
            extra = model.auxiliary_loss()
            total = loss if extra is None else loss + extra
            if total.requires_grad:
                total.backward()


def _state() -> _State:
    def digest(value: bytes) -> bytes:
        return hashlib.sha256(value).digest()

    return {
        "torch's random state": digest(torch.get_rng_state().numpy().tobytes()),
        "NumPy's random state": digest(pickle.dumps(np.random.get_state())),  # noqa: NPY002 - the global one
        "Python's random state": digest(pickle.dumps(random.getstate())),
        "the default dtype": torch.get_default_dtype(),
        "the number of threads": torch.get_num_threads(),
        "the gradient mode": torch.is_grad_enabled(),
        "deterministic algorithms": torch.get_deterministic_debug_mode(),
        "cuDNN's benchmark mode": torch.backends.cudnn.benchmark,
        "the precision of float32 products": torch.get_float32_matmul_precision(),
        "the working directory": os.getcwd(),
    }


@contextlib.contextmanager
def preserved_state() -> Iterator[None]:
    """Restore the global state, so that one check does not affect the next."""
    torch_rng, numpy_rng, python_rng = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    kept = _state()
    try:
        yield
    finally:
        torch.set_rng_state(torch_rng)
        np.random.set_state(numpy_rng)  # noqa: NPY002 - the global one
        random.setstate(python_rng)
        torch.set_default_dtype(kept["the default dtype"])
        if torch.get_num_threads() != kept["the number of threads"]:
            torch.set_num_threads(kept["the number of threads"])
        torch.set_grad_enabled(kept["the gradient mode"])
        torch.set_deterministic_debug_mode(kept["deterministic algorithms"])
        torch.backends.cudnn.benchmark = kept["cuDNN's benchmark mode"]
        torch.set_float32_matmul_precision(kept["the precision of float32 products"])
        if os.getcwd() != kept["the working directory"]:
            os.chdir(kept["the working directory"])


class _Audit:
    """A permanent audit hook, installed at first use, since Python's cannot be removed; it is inactive by default."""

    installed = False
    watching: dict[int, list[str]] = {}  # noqa: RUF012 - thread -> what it did

    @classmethod
    def hook(cls, event: str, args: tuple[Any, ...]) -> None:
        seen = cls.watching.get(threading.get_ident())
        if seen is None or not event.startswith(_EVENTS):
            return
        target = args[0] if args else ""
        if event == "open":
            if not isinstance(target, str | bytes | os.PathLike):
                return
            path = os.fsdecode(target)
            if path.endswith(_ALLOWED_ENDS) or path.startswith(_ALLOWED_STARTS) or _METADATA.search(path):
                return
            seen.append(f"opened the file '{path}'")
        else:
            seen.append(f"called {event} ({target!r})" if isinstance(target, str) else f"called {event}")


@contextlib.contextmanager
def _watched() -> Iterator[list[str]]:
    if not _Audit.installed:
        sys.addaudithook(_Audit.hook)
        _Audit.installed = True
    seen: list[str] = []
    _Audit.watching[threading.get_ident()] = seen
    try:
        yield seen
    finally:
        del _Audit.watching[threading.get_ident()]


ISOLATION: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
