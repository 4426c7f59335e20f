"""Measure time and peak memory of a board's networks, and keep them in `latency.json` beside its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from srbench import __version__
from srbench.errors import ConfigError, SRBenchError, StoreError
from srbench.machine import check_device, check_tf32, check_threads, describe, tf32, usable_cores
from srbench.registry import matching
from srbench.results.latency_records import (
    LEAST_PASSES,
    Dtype,
    LatencyRun,
    Session,
    TimedNetwork,
    read_latency,
    write_latency,
)
from srbench.results.records import now
from srbench.results.rows import results_folder
from srbench.results.store import RunStore

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["BoardTiming", "lr_size_of", "measure_board"]

OUTPUT = (1280, 720)
_SAVE_EVERY = 5.0  # seconds between two writes of the file

Progress = Callable[[str, float, str], None]
"""Receives the work in words, the finished share of it, and a word about it."""


@dataclass(frozen=True)
class BoardTiming:
    """What to measure, and how.

    Attributes:
        threads: CPU threads of torch.
        seconds: Time for the passes of each scale of the board.
        memory: Measure peak memory too.
        device: `cpu`, `cuda` or `cuda:N`.
        dtype: `float32`, or `float16` on a GPU.
        models: Only models that match this glob; empty: all.
        again: Forget what was measured here before, instead of adding to it.
        lr_size: Width and height of the LR image; None: that of a 1280x720 output.
        tf32: Let a GPU round factors of float32 products to 10 bits.
    """

    threads: int = 1
    seconds: float = 600.0
    memory: bool = True
    device: str = "cpu"
    dtype: Dtype = "float32"
    models: str = ""
    again: bool = False
    lr_size: tuple[int, int] | None = None
    tf32: bool = False


def lr_size_of(scale: int) -> tuple[int, int]:
    """Return width and height of the LR image whose SR image is 1280x720, or the next larger one."""
    width, height = OUTPUT
    return -(-width // scale), -(-height // scale)


def measure_board(folder: Path, how: BoardTiming, progress: Progress) -> list[LatencyRun]:
    """Time the networks of a board in turns, add their peak memory, and write `latency.json` as it goes.

    A call that was cut short is continued by the next with the same settings on the same machine.

    Args:
        folder: A board's folder or a run's directory.
        how: What to measure.
        progress: Told how far it is.

    Returns:
        What is known now of this board on this machine, for each scale.

    Raises:
        ConfigError: A setting is wrong, or no model matches.
        StoreError: There are no results, or the file cannot be written.
    """
    check_threads(how.threads)
    check_device(how.device)
    if how.tf32:
        check_tf32(how.device, how.dtype)
    if how.dtype == "float16" and how.device == "cpu":
        raise ConfigError("float16 is measured on a GPU only: give --device cuda")
    results, _ = results_folder(folder)
    names = _models(results)
    chosen = {scale: matching(models, how.models) for scale, models in names.items()}
    if not any(chosen.values()):
        raise ConfigError(f"no model of '{folder}' matches '{how.models}'")
    return [_of_scale(results, scale, models, how, progress) for scale, models in chosen.items() if models]


def _models(results: Path) -> dict[int, list[str]]:
    """Return scale -> models that were measured, baselines included.

    Raises:
        StoreError: There are none.
    """
    found: dict[int, dict[str, None]] = {}
    for cell in RunStore(results).cells():
        if cell.record.status == "ok":
            found.setdefault(cell.record.scale, {})[cell.record.model] = None
    if not found:
        raise StoreError(f"'{results}' holds no measured models; `srbench run --suite NAME --out {results}` makes some")
    return {scale: sorted(models) for scale, models in sorted(found.items())}


@dataclass
class _Measurement:
    """The times of one scale while they are taken, kept in the file."""

    results: Path
    run: LatencyRun
    networks: dict[str, TimedNetwork]
    before: dict[str, object]
    started: str = field(default_factory=now)
    _saved: float = 0.0

    def add(self, name: str, seconds: float) -> None:
        known = self.networks[name]
        self.networks[name] = known.model_copy(update={"seconds": [*known.seconds, round(seconds, 6)]})

    def set(self, name: str, **changes: object) -> None:
        self.networks[name] = self.networks.get(name, TimedNetwork()).model_copy(update=changes)

    def save(self, *, at_once: bool = True) -> LatencyRun:
        """Write the file; not `at_once`, only if some time has passed since."""
        import time

        if at_once or time.monotonic() - self._saved >= _SAVE_EVERY:
            after = describe(self.run.device)
            session = Session(
                started=self.started,
                finished=now(),
                load_before=_plain(self.before["load"]),
                load_after=_plain(after["load"]),
                governor=str(after["governor"]),
                clock_mhz=str(after["clock_mhz"]),
            )
            run = self.run.model_copy(
                update={"networks": dict(self.networks), "sessions": [*self.run.sessions, session]}
            )
            others = [one for one in read_latency(self.results) if one.identity != run.identity]
            write_latency(self.results, [*others, run])
            self._saved = time.monotonic()
            return run
        return self.run


def _of_scale(results: Path, scale: int, models: list[str], how: BoardTiming, progress: Progress) -> LatencyRun:
    import torch

    from srbench.cost.images import photograph
    from srbench.cost.latency_rounds import time_in_turns

    before, size = describe(how.device), how.lr_size or lr_size_of(scale)
    run = LatencyRun(
        scale=scale,
        output=(size[0] * scale, size[1] * scale) if how.lr_size else OUTPUT,
        lr=size,
        dtype=how.dtype,
        tf32=how.tf32,
        device="cuda" if how.device.startswith("cuda") else "cpu",
        machine=str(before["device"]),
        cores=usable_cores(),
        threads=how.threads,
        torch=str(before["torch"]),
        srbench=__version__,
    )
    known = next((one for one in read_latency(results) if one.identity == run.identity), None)
    if known is not None and not how.again:
        run = known
    measurement = _Measurement(results, run, dict(run.networks), before)
    width, height = run.lr
    lr = photograph(scale, height, width, how.device).to(getattr(torch, how.dtype))
    what = f"x{scale}"
    networks: dict[str, Backbone] = {}
    for number, name in enumerate(models):
        progress(f"{what}: making networks", number / len(models), name)
        if (network := _network(name, scale, measurement)) is not None:
            networks[name] = network.to(device=how.device, dtype=getattr(torch, how.dtype))

    def after_round(share: float, words: str) -> None:
        measurement.save(at_once=False)
        progress(f"{what}: timing", share, words)

    try:
        time_in_turns(
            networks,
            lr,
            threads=how.threads,
            seconds=how.seconds,
            least=LEAST_PASSES,
            done={name: len(of.seconds) for name, of in measurement.networks.items()},
            timed=measurement.add,
            failed=lambda name, why: measurement.set(name, reason=f"it fails on this image ({why})"[:500]),
            after_round=after_round,
            tf32=how.tf32,
        )
    finally:
        measurement.save()
    if how.memory:
        _add_memory(measurement, networks, how, progress)
    return measurement.save()


def _network(name: str, scale: int, measurement: _Measurement) -> Backbone | None:
    """Return a network as it is measured on the board; None where it cannot be made, which is noted."""
    from srbench.cost.executed import skips_work
    from srbench.models.factory import create_model
    from srbench.models.surgery import deployed
    from srbench.registry import canonical_name

    try:
        network = create_model(name, scale=scale, pretrained=False, seed=0).eval()
        masks = skips_work(network)
        tagged = canonical_name(name).tag is not None
        if masks and tagged:
            # Weights decide nothing here but which parts masks skip.
            network = create_model(name, scale=scale, pretrained=True).eval()
        measurement.set(
            name,
            weights="published" if masks and tagged else "random",
            random_masks=masks and not tagged,
            reason="",
        )
        return deployed(network, scale).eval()
    except SRBenchError as error:
        measurement.set(name, reason=str(error)[:500])
        return None


def _add_memory(
    measurement: _Measurement, networks: Mapping[str, Backbone], how: BoardTiming, progress: Progress
) -> None:
    """Measure the peak memory of each network that has none yet."""
    from srbench.cost.images import photograph
    from srbench.cost.memory import peak_on_cpu, peak_on_cuda

    run = measurement.run
    width, height = run.lr
    missing = [name for name in networks if measurement.networks[name].peak_bytes is None]
    for number, name in enumerate(missing):
        progress(f"x{run.scale}: memory", number / len(missing), name)
        network = networks[name]
        try:
            if run.device == "cuda":
                lr = photograph(run.scale, height, width, how.device).to(next(network.parameters()).dtype)
                with tf32(how.tf32):
                    peak = peak_on_cuda(network, lr)
            else:
                peak = peak_on_cpu(
                    name,
                    run.scale,
                    height,
                    width,
                    threads=how.threads,
                    folded=network.method is not None and network.method.measured_folded,
                    pretrained=measurement.networks[name].weights == "published",
                )
        except SRBenchError:
            continue  # shown without memory
        measurement.set(name, peak_bytes=peak)
        measurement.save()


def _plain(value: object) -> float | str:
    return float(value) if isinstance(value, int | float) else str(value)
