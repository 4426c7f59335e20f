"""Times and peak memory of a board's networks, kept beside its results in `latency.json`."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srbench.errors import StoreError
from srbench.storage import write_atomic
from srbench.untrusted import parse_json, read_text
from srbench.validation import problems_in

__all__ = [
    "LATENCY_FILE",
    "LEAST_PASSES",
    "Dtype",
    "LatencyRun",
    "Session",
    "TimedNetwork",
    "read_latency",
    "write_latency",
]

LATENCY_FILE = "latency.json"
LEAST_PASSES = 3  # of a network whose time is shown

Seconds = Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)]
Load = Annotated[float, Field(allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=2**16)]
Text = Annotated[str, Field(max_length=500)]
Dtype = Literal["float32", "float16"]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimedNetwork(_Schema):
    """Hold what was measured of one network.

    Attributes:
        seconds: Time of each forward pass that counts, in the order in which they ran.
        peak_bytes: Peak memory of a forward pass beyond what was used before; None where it was not measured.
        weights: `published`, where masks decide what is computed; else `random`: they do not change the time.
        random_masks: Whether masks were random, so that the time is not that of the trained network.
        reason: Why there are no times; empty where there are.
    """

    seconds: list[Seconds] = Field(default=[], max_length=10_000)
    peak_bytes: int | None = Field(default=None, ge=0, le=10**15)
    weights: Literal["published", "random"] = "random"
    random_masks: bool = False
    reason: Text = ""

    @property
    def complete(self) -> bool:
        """Return whether there are enough passes to show a time."""
        return len(self.seconds) >= LEAST_PASSES

    @property
    def median(self) -> float:
        """Return the median in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Return the first and the third quartile in seconds."""
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


class Session(_Schema):
    """Say when a part of the passes ran, and how busy the machine was; unknown values are texts."""

    started: Text
    finished: Text
    load_before: Load | Text
    load_after: Load | Text
    governor: Text
    clock_mhz: Text


class LatencyRun(_Schema):
    """Hold the times of a board's networks at one scale on one machine.

    Attributes:
        scale: The scale.
        output: Width and height of the SR image in pixels; if the scale does not divide it, the next larger image.
        lr: Width and height of the LR image.
        dtype: Type of weights and activations.
        tf32: Whether float32 products used TF32, which only GPUs have; None in files from before it was recorded, when
            a GPU used it in convolutions.
        device: `cpu` or `cuda`.
        machine: Name of the processor or the GPU.
        cores: CPU cores that the process could use.
        threads: CPU threads of torch.
        networks: Canonical name -> what was measured.
    """

    scale: int = Field(ge=1, le=16)
    output: tuple[Pixels, Pixels] = (1280, 720)
    lr: tuple[Pixels, Pixels]
    batch: Literal[1] = 1
    dtype: Dtype = "float32"
    tf32: bool | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    machine: str = Field(min_length=1, max_length=200)
    cores: int = Field(ge=1, le=10**6)
    threads: int = Field(ge=1, le=1024)
    torch: Text
    srbench: Text
    sessions: list[Session] = []
    networks: dict[str, TimedNetwork] = {}

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what passes must have in common to be compared."""
        tf32 = False if self.device == "cpu" else self.tf32
        return self.scale, self.lr, self.dtype, tf32, self.device, self.machine, self.threads, self.torch

    @property
    def where(self) -> str:
        """Return machine and conditions in a few words."""
        threads = "" if self.device != "cpu" else f", {self.threads} thread{'s' if self.threads > 1 else ''}"
        mode = " with TF32" if self.tf32 else ""
        if self.tf32 is None and self.device != "cpu" and self.dtype == "float32":
            mode = " (TF32 not recorded)"
        return f"{self.machine}{threads}, {self.dtype}{mode}, torch {self.torch}"


class _File(_Schema):
    schema_version: Literal[1] = 1
    runs: list[LatencyRun] = []


def read_latency(results_dir: str | Path) -> list[LatencyRun]:
    """Return the times that are kept in a folder of results, none where there are none.

    Raises:
        StoreError: Its `latency.json` cannot be read.
    """
    path = Path(results_dir) / LATENCY_FILE
    if not path.exists():
        return []
    try:
        return _File.model_validate(parse_json(read_text(path, what="file of times", error=StoreError))).runs
    except ValidationError as error:
        raise _damaged(path, problems_in(error)[0].sentence()) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def write_latency(results_dir: str | Path, runs: list[LatencyRun]) -> Path:
    """Write the times of a folder of results, in place of those that are there.

    Raises:
        StoreError: The folder may not be written to.
    """
    ordered = sorted(
        runs, key=lambda run: (run.scale, run.device, run.machine, run.dtype, bool(run.tf32), run.threads, run.torch)
    )
    path = Path(results_dir) / LATENCY_FILE
    content = json.dumps(_File(runs=ordered).model_dump(), indent=1, sort_keys=True, allow_nan=False)
    write_atomic(path, (_compact(content) + "\n").encode())
    return path


def _compact(text: str) -> str:
    """Return indented JSON with each list of numbers in one line."""
    return re.sub(r"\[[\s\d.,e+-]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"'{path}' is not a file of times that this version reads ({reason}); remove it and run `srbench leaderboard "
        "latency BOARD` again"
    )
