"""`srbench diagnose`: which choices of evaluation give an expected figure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from srbench.diagnosis.choices import Alternative
    from srbench.diagnosis.search import Diagnosis, Finding

__all__ = ["diagnose"]

_COLUMNS = 3  # combinations shown side by side


def diagnose(
    model: Annotated[
        str, typer.Argument(help="A model with a tag, or a weights file.", metavar="MODEL|FILE", show_default=False)
    ],
    expect: Annotated[
        list[str],
        typer.Option(
            help="A figure that should come out, e.g. `psnr_y=32.25@Set5`; may be given several times.",
            metavar="METRIC=VALUE@DATA",
            show_default=False,
        ),
    ],
    scale: Annotated[int, typer.Option(help="How many times larger the SR image is.", min=1, max=16)],
    network: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="The network of a weights file; with a tag, the file is read as the tag's own are.",
            metavar="NAME",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The data set or folder of expectations that name none.", metavar="NAME|DIR"),
    ] = None,
    protocol: Annotated[str, typer.Option(help="The choices that are made by default.")] = "matlab-y",
    settings: Annotated[
        str | None,
        typer.Option(
            "--with", help="Choices made otherwise, e.g. `hr_crop=12, lr_rounding=once`.", metavar="CHOICE=VALUE,..."
        ),
    ] = None,
    changes: Annotated[int, typer.Option(help="The most choices that are changed together.", min=0, max=3)] = 2,
    tolerance: Annotated[float, typer.Option(help="How far a mean PSNR may be off, in dB.", min=0.0001, max=1)] = 0.005,
    exhaustive: Annotated[
        bool, typer.Option("--all", help="Run every pair of choices, even where a combination agrees already.")
    ] = False,
    minutes: Annotated[
        float,
        typer.Option(
            help="Above so many minutes, a few images decide which combinations are run on all of them.", min=0
        ),
    ] = 3.0,
    device: Annotated[str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Find out which choices give a published figure: weights, ranges, LR images, borders, luma, rounding.

    The default is what `srbench eval` does. Choices are changed one at a time, then two together. Exit status 1 if no
    combination gives the figures.

    Example: `srbench diagnose etds_m.author --scale 2 --expect psnr_y=37.54@Set5 --expect ssim_y=.9593@Set5`

    Example: `srbench diagnose lkdn.author --scale 4 --expect psnr_y=28.79@Set14 --with lr_rounding=once --changes 0`

    Example: `srbench diagnose mine.pth --model rfdn_aim --scale 4 --expect psnr_y=32.16 --data path/to/Set5`
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.data.datasets import open_dataset
    from srbench.data.folders import FolderDataset
    from srbench.diagnosis.expectations import Expectation
    from srbench.errors import ConfigError
    from srbench.protocols import get_protocol

    found_protocol = get_protocol(protocol)
    if found_protocol.lr_channels == "y":
        raise ConfigError(f"--protocol {protocol} gives networks luma alone; diagnose takes protocols for RGB images")
    expectations = list(dict.fromkeys(Expectation.parse(text, data, tolerance) for text in expect))
    if json is not None:
        check_json_target(json, model, data)
    datasets = {name: open_dataset(name) for name in dict.fromkeys(one.data for one in expectations)}
    shipped = all(isinstance(one, FolderDataset) and scale in one.shipped_scales for one in datasets.values())

    import torch

    from srbench.cli.steps import steps
    from srbench.diagnosis.choices import alternatives, default_choices, with_settings
    from srbench.diagnosis.measuring import Measuring
    from srbench.diagnosis.networks import VALUE_RANGES, open_subject
    from srbench.diagnosis.scoring import COLORS
    from srbench.diagnosis.search import Plan, search
    from srbench.machine import check_device, check_threads

    check_device(device)
    if threads is not None:
        check_threads(threads)
        torch.set_num_threads(threads)
    subject = open_subject(model, scale, network)
    default = default_choices(found_protocol, scale, subject.default)

    def others() -> dict[str, list[Alternative]]:
        return alternatives(
            default,
            scale,
            weights=subject.states,
            value_ranges=[name for name in VALUE_RANGES if name != "as defined"],
            colors=COLORS,
            shipped=shipped,
            with_ssim=any(one.metric.startswith("ssim") for one in expectations),
        )

    options, usual = others(), protocol
    if settings is not None:
        default = with_settings(default, settings, options)
        options, usual = others(), f"{protocol} with {settings}"
    images = {name: dataset.image_names() for name, dataset in datasets.items()}
    plan = Plan(default, options, changes, images, 60 * minutes, exhaustive)
    measuring = Measuring(subject, datasets, expectations, found_protocol, torch.device(device))
    began = time.monotonic()
    with steps(f"diagnosing {model}", 1.0) as tell:

        def progress(done: int, total: int, what: str) -> None:
            left = (time.monotonic() - began) / done * (total - done) if done else 0.0
            tell(done / total, f"at most {left / 60:.1f} minutes left: {what}" if done else what)

        found = search(measuring, plan, progress)
    found.unusable |= {f"weights {name}": why for name, why in subject.unusable.items()}
    if json is not None:
        from srbench.diagnosis.wording import as_json, conclusion

        write_json(
            {
                "model": model,
                "network": network,
                "scale": scale,
                "protocol": protocol,
                "with": settings,
                "conclusion": conclusion(found, usual),
                "default": as_json(found.default, default),
                "matches": [as_json(one, default) for one in found.matches],
                "further_matches": found.further,
                "nearest": [as_json(one, default) for one in found.nearest],
                "tried": found.tried,
                "screened": found.screened,
                "unusable": found.unusable,
            },
            json,
        )
    if json != "-":
        _show(found, model, scale, usual)
    raise typer.Exit(0 if found.matches else 1)


def _show(found: Diagnosis, model: str, scale: int, protocol: str) -> None:
    from srbench.cli.output import print_table, say
    from srbench.diagnosis.wording import TITLES, conclusion, value_words

    default = found.default.combination
    beside = [one for one in found.matches or found.nearest if one.combination != default][:_COLUMNS]
    rows = []
    for name, usual in default.as_dict().items():
        values = [one.combination.as_dict()[name] for one in beside]
        cells = [value_words(name, value) if value != usual else "same" for value in values]
        rows.append([TITLES[name], value_words(name, usual), *cells])
    for one in found.default.figures:
        digits = 3 if one.metric.startswith("psnr") else 5
        cells = [_figure(finding, digits, one.value, finding.figures[one]) for finding in (found.default, *beside)]
        rows.append([f"{one.label}, expected {one.value:.{digits}f}", *cells])
    kind = "gives the figure" if found.matches else "comes near"
    titles = [kind if len(beside) == 1 else f"{kind} ({number})" for number in range(1, len(beside) + 1)]
    print_table(f"{model} x{scale}", ["choice", f"default ({protocol})", *titles], rows, left=len(titles) + 2)
    say(conclusion(found, protocol))
    if (more := len(found.matches) - _COLUMNS) > 0:
        typer.echo(f"{more} more with as few changes are in the --json output.")
    if found.further:
        typer.echo(f"Of {found.tried:,} combinations tried, {found.further:,} with more changes give the same.")
    for name, count in found.screened.items():
        say(f"{name}: {count} images decided which combinations were run on all of them.")
    for what, why in found.unusable.items():
        say(f"Not usable: {what}: {why}")


def _figure(finding: Finding, digits: int, expected: float, mean: float) -> str:
    return f"{mean:.{digits}f} ({mean - expected:+.{digits}f})"
