"""Output of `srbench cost`: a table column and a JSON object for each model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from srbench.cost.counts import Cost, Work
    from srbench.cost.latency import Comparison, Latencies, Timing

__all__ = ["CostReport", "ModelCost"]

Row = tuple[str, list[str]]


@dataclass
class ModelCost:
    """The cost of one model.

    Attributes:
        given: The model as given by the user.
        cost: Its cost; None if it could not be counted.
        not_counted: Why it could not be counted; empty if it was.
        random_masks: Whether it was measured with random weights that determine what its masks skip.
        executed: Image -> executed MACs; None if it skips nothing or no images were given.
        timing: Its times, if measured.
        against_first: Comparison of its times with those of the first model.
        peak: Peak memory in bytes, if measured.
        published: Published counts that differ from ours, and why.
        path: The inference path that was timed; None for the network's own.
    """

    given: str
    cost: Cost | None
    not_counted: str = ""
    random_masks: bool = False
    executed: dict[str, float] | None = None
    timing: Timing | None = None
    against_first: Comparison | None = None
    peak: int | None = None
    published: list[str] = field(default_factory=list)
    path: str | None = None

    @property
    def executed_mean(self) -> float | None:
        """The mean over the images."""
        return sum(self.executed.values()) / len(self.executed) if self.executed else None

    def payload(self, *, first: bool) -> dict[str, Any]:
        """Return the model's JSON object."""
        item: dict[str, Any] = {"model": self.given if self.cost is None else self.cost.model}
        item["not_counted"] = self.not_counted or None
        if self.cost is not None:
            item |= {"params": self.cost.params, "stored": self.cost.stored, "params_folded": self.cost.folded}
            item |= {"output_1280x720": _work(self.cost.hd), "input_256x256": _work(self.cost.ntire)}
        item["executed_macs"] = self.executed
        item["executed_macs_mean"] = self.executed_mean
        item["peak_bytes_measured"] = self.peak
        item["random_masks"] = self.random_masks
        item["published"] = self.published
        item["path"] = self.path
        if self.timing is not None and self.against_first is not None:
            item["latency"] = {
                "median_seconds": self.timing.median,
                "quartiles_seconds": list(self.timing.quartiles),
                "seconds": list(self.timing.seconds),
                "ratio_to_first": self.against_first.ratio,
                "ratio_interval": [self.against_first.low, self.against_first.high],
                "verdict": "first" if first else self.against_first.verdict,
            }
        return item


@dataclass
class CostReport:
    """The costs of several models, and how they were obtained.

    Attributes:
        scale: The scale.
        folded: Whether the networks were folded.
        data: The images for the work executed by networks with masks.
        size: Height and width of the LR image for timing and memory.
        models: One for each model, in the order given.
        times: The machine, and how times were measured; None if they were not.
    """

    scale: int
    folded: bool
    data: str | None
    size: tuple[int, int]
    models: list[ModelCost]
    times: Latencies | None = None

    def require_one_counted(self) -> None:
        """Raise CostError with all reasons if no model could be counted."""
        from srbench.errors import CostError

        if all(model.cost is None for model in self.models):
            raise CostError("; ".join(dict.fromkeys(model.not_counted for model in self.models)))

    def set_times(self, times: Latencies) -> None:
        """Set the times of each model, and compare them with those of the first model."""
        from srbench.cost.latency import compare

        self.times = times
        for model, timing in zip(self.models, times.timings, strict=True):
            model.timing, model.against_first = timing, compare(timing, times.timings[0])

    def payload(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        items = [model.payload(first=index == 0) for index, model in enumerate(self.models)]
        value: dict[str, Any] = {"scale": self.scale, "folded": self.folded, "data": self.data, "models": items}
        times = self.times
        if times is not None or any(model.peak is not None for model in self.models):
            value["measured_on"] = {"lr_height": self.size[0], "lr_width": self.size[1]}
        if times is not None:
            value["timing"] = {
                "rounds": times.rounds,
                "warm_up": times.warm_up,
                "tf32": times.tf32,
                "threads": times.threads,
                "device": times.device,
                "before": times.before,
                "after": times.after,
            }
        return value

    def show(self) -> None:
        """Print a table with a column for each model, followed by notes."""
        from srbench.cli.output import print_table

        where = f"LR {self.size[1]}x{self.size[0]}"
        rows = _counted_rows(self.models)
        if any(model.peak is not None for model in self.models):
            rows.append((f"peak memory measured, {where}", [_bytes(model.peak) for model in self.models]))
        rows += _timed_rows(self.models, where)
        if any(model.path for model in self.models):
            rows.append(("  inference path", [model.path or "default" for model in self.models]))
        title = f"cost at x{self.scale}" + (", folded" if self.folded else "")
        print_table(title, ["", *(model.given for model in self.models)], [[name, *cells] for name, cells in rows])
        for model in self.models:
            if model.not_counted:
                typer.echo(f"{model.given}: {model.not_counted}")
        for sentence in dict.fromkeys(sentence for model in self.models for sentence in model.published):
            typer.echo(sentence)
        for given in dict.fromkeys(model.given for model in self.models if model.random_masks):
            typer.echo(
                f"{given}: measured with random weights, so its masks skip other parts than trained ones; name a tag"
            )
        if self.times is not None:
            _show_machine(self.times)


def _counted_rows(models: list[ModelCost]) -> list[Row]:
    costs = [model.cost for model in models]

    def row(name: str, cell: Callable[[Cost], str]) -> Row:
        return name, [cell(item) if item is not None else "–" for item in costs]

    def any_has(value: Callable[[Cost], Any]) -> bool:
        return any(value(item) for item in costs if item is not None)

    rows = [
        row("parameters", lambda item: f"{item.params:,}"),
        row("numbers stored", lambda item: f"{item.stored:,}"),
    ]
    if any_has(lambda item: item.folded != item.params):
        rows.append(row("parameters when folded", lambda item: f"{item.folded:,}"))
    for where, work in (("1280x720 out", lambda item: item.hd), ("256x256 in", lambda item: item.ntire)):
        rows.append(row(f"MACs, {where}", _of(work, lambda at: _giga(at.macs))))
        if any_has(lambda item: item.hd.product):
            rows.append(row("  of convolutions", _of(work, lambda at: _giga(at.convolution))))
        if where.endswith("out") and any(model.executed for model in models):
            means = [_giga(mean) if (mean := model.executed_mean) is not None else "–" for model in models]
            rows.append(("  executed, mean over the images", means))
        rows.append(row(f"activations, {where}", _of(work, lambda at: f"{float(at.activations) / 1e6:,.2f} M")))
        rows.append(row(f"peak memory, {where}", _of(work, lambda at: _bytes(at.peak_bytes))))
    if any_has(lambda item: item.hd.synthesis):
        rows.append(row("MACs to generate weights", lambda item: _mega(item.hd.synthesis)))
    return rows


def _of(work: Callable[[Cost], Work], cell: Callable[[Work], str]) -> Callable[[Cost], str]:
    return lambda item: cell(work(item))


def _timed_rows(models: list[ModelCost], where: str) -> list[Row]:
    timings = [model.timing for model in models if model.timing is not None]
    if not timings:
        return []
    quartiles = [timing.quartiles for timing in timings]
    rows = [
        (f"forward pass, {where}", [f"{1e3 * timing.median:.2f} ms" for timing in timings]),
        ("  interquartile range", [f"{1e3 * low:.2f} to {1e3 * high:.2f} ms" for low, high in quartiles]),
    ]
    found = [model.against_first for model in models[1:] if model.against_first is not None]
    if found:
        rows.append(("  ratio to the first", ["1", *(f"{item.ratio:.3f}" for item in found)]))
        rows.append(("  99% interval", ["", *(f"{item.low:.3f} to {item.high:.3f}" for item in found)]))
        rows.append(("  verdict", ["first", *(item.verdict for item in found)]))
    return rows


def _show_machine(timed: Latencies) -> None:
    before, after = timed.before, timed.after
    clocks = [str(state["clock_mhz"]) for state in (before, after)]
    told = clocks[0] if clocks[0] == clocks[1] else f"{clocks[0]} before, {clocks[1]} after"
    typer.echo(
        f"{timed.rounds} rounds in turns after {timed.warm_up} to warm up; {before['device']}, {timed.threads} "
        f"thread{'s' if timed.threads != 1 else ''} of {before['cores']} cores; torch {before['torch']}"
        + (f"; TF32 {'on' if timed.tf32 else 'off'}" if timed.device.startswith("cuda") else "")
    )
    typer.echo(
        f"clock, MHz: {told}; governor: {before['governor']}; turbo: {before['turbo']}; "
        f"load: {before['load']} before, {after['load']} after"
    )
    for name, value in before.get("gpu", {}).items():
        typer.echo(f"GPU {name}: {value} before, {after['gpu'].get(name)} after")
    if isinstance(before["load"], float) and before["load"] > 0.5:
        typer.echo("other programs were running: times are longer and less reliable than on an idle machine")


def _giga(value: Any) -> str:
    return f"{float(value) / 1e9:,.2f} G"


def _mega(value: Any) -> str:
    return f"{float(value) / 1e6:,.1f} M" if value else "–"


def _bytes(value: Any) -> str:
    return f"{float(value) / 2**20:,.1f} MiB"


def _work(work: Work) -> dict[str, Any]:
    whole = ("convolution", "product", "other", "synthesis", "analytic", "activations", "peak_bytes")
    return {
        "lr_height": float(work.height),
        "lr_width": float(work.width),
        "macs": work.macs,
        **{name: round(getattr(work, name)) for name in whole},
    }
