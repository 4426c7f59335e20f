"""`srbench figure module-sparsity`: sparsity of the masks of each module for one or several networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from srbench.plugin import Backbone

__all__ = ["module_sparsity"]


def module_sparsity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network with sparse masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file.", metavar="FILE.png|FILE.svg")] = Path(
        "module-sparsity.png"
    ),
    weights: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint instead of a tag's weights; can be repeated.")
    ] = None,
    data: Annotated[str, typer.Option(help="A data set, or a folder of HR images.", metavar="NAME|DIR")] = (
        "embedded-test"
    ),
    image: Annotated[
        str | None, typer.Option(help="Images, separated by commas.", show_default="all of the data set")
    ] = None,
    input_scale: Annotated[int, typer.Option(help="Downscaling factor of the input images.", min=1, max=16)] = 2,
    protocol: Annotated[str, typer.Option(help="The protocol that generates LR images.")] = "matlab-y",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
) -> None:
    """Show the sparsity of each module for networks of several scales on the same input images.

    Figure VI of SMSR's supplement, where the sparsity is lower at larger scales.

    Example: `srbench figure module-sparsity smsr.author --data Set5`

    Example: `srbench figure module-sparsity smsr_tiny --weights x2.safetensors --weights x3.safetensors --weights
    x4.safetensors`
    """
    from srbench.plugin import check_figure_path, figure_style, get_protocol, open_dataset, save_figure
    from srbench_sparse_mask.figures.images import about_weights, find_images, joined

    check_figure_path(output)
    found, dataset = get_protocol(protocol), open_dataset(data)
    names = dataset.image_names() if image is None else [name for _, name in find_images(image, data)]

    import torch

    from srbench.plugin import load_network
    from srbench_sparse_mask.figures.recording import require_masks

    if threads is not None:
        torch.set_num_threads(threads)
    files: list[Path | None] = [*weights] if weights else [None]
    networks = [load_network(model, file) for file in files]
    for network in networks:
        require_masks(network)
    lrs = [dataset.lr(name, input_scale, found) for name in names]
    measured: dict[str, npt.NDArray[np.float64]] = {}
    for number, network in enumerate(networks):
        label = f"x{network.scales[0]}"
        measured[label if label not in measured else f"{label} ({number + 1})"] = _sparsity(network, lrs)
    name = str(networks[0].model_name)
    sources = dict.fromkeys(about_weights(name, file) for file in files)
    shown = f"{len(names)} images of {dataset.name}" if image is None else ", ".join(names)
    about = joined((f"{shown}, made {input_scale} times smaller", *sources))
    with figure_style():
        save_figure(_draw(name, about, measured), output)
    typer.echo(f"{output}")


def _sparsity(network: Backbone, lrs: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """Return the sparsity of each module, averaged over images."""
    import numpy as np

    from srbench_sparse_mask.figures.recording import run_recorded

    scale = network.scales[0]
    view = network.at_scale(scale).eval()
    return np.mean([[module.sparsity for module in run_recorded(view, lr, scale)] for lr in lrs], axis=0)  # type: ignore[no-any-return]


def _draw(name: str, about: str, measured: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    import numpy as np

    from srbench.plugin import FIGURE_COLORS, FigureSheet

    modules = max(len(values) for values in measured.values())
    width = max(0.5 + (0.45 + 0.15 * len(measured)) * modules, 4.6)
    sheet = FigureSheet(width + 0.9, 3.5, f"Sparsity of the modules of {name}")
    # One part per line, as the whole may be too long.
    lines = about.split("; ")
    for number, line in enumerate(lines):
        sheet.text(0.12, 0.42 + 0.16 * number, line, color="0.35", size=8)
    top = 0.6 + 0.16 * len(lines)
    axes = sheet.axes(0.65, top, width, 3.5 - top - 0.5)
    bar = 0.8 / len(measured)
    for number, (label, values) in enumerate(measured.items()):
        places = np.arange(len(values)) + (number - (len(measured) - 1) / 2) * bar
        axes.bar(places, values, width=bar * 0.92, color=FIGURE_COLORS[number % len(FIGURE_COLORS)], label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(place, value + 0.01, f"{value:.2f}", ha="center", va="bottom", size=6)
    axes.set(xticks=range(modules), xticklabels=[f"module {number + 1}" for number in range(modules)], ylim=(0, 1))
    axes.set_ylabel("sparsity")
    axes.tick_params(length=2, width=0.4)
    if len(measured) > 1:
        axes.legend(loc="upper right", ncols=len(measured), frameon=False)
    return sheet.figure
