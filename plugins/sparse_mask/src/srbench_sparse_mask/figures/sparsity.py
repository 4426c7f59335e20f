"""`srbench figure feature-sparsity`: fraction of zeros of each channel after each ReLU on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

__all__ = ["feature_sparsity"]

# From this fraction of zeros on, the paper calls a channel "quite sparse" (supplement, section I).
SPARSE = 0.8
_TOP, _LEFT, _WIDTH, _ROW = 0.8, 1.15, 4.4, 0.17  # inches


def feature_sparsity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network with ReLUs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file.", metavar="FILE.png|FILE.svg")] = Path(
        "feature-sparsity.png"
    ),
    data: Annotated[str, typer.Option(help="A data set, or a folder of HR images.", metavar="NAME|DIR")] = (
        "embedded-test"
    ),
    protocol: Annotated[str, typer.Option(help="The protocol that generates LR images.")] = "matlab-y",
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="The scale.", show_default="the first scale of the weights")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
) -> None:
    """Show the fraction of zeros of each channel after each ReLU, averaged over a data set.

    Figure II of SMSR's supplement: many channels are zero nearly everywhere, so most of their computation is wasted.

    Example: `srbench figure feature-sparsity srresnet_tiny --weights weights.safetensors --data Set5`
    """
    from srbench.plugin import check_figure_path, figure_style, get_protocol, open_dataset, save_figure

    check_figure_path(output)
    found, dataset = get_protocol(protocol), open_dataset(data)

    import torch

    from srbench.plugin import load_network
    from srbench_sparse_mask.figures.images import about_weights, joined
    from srbench_sparse_mask.figures.relu import channel_sparsity

    if threads is not None:
        torch.set_num_threads(threads)
    network = load_network(model, weights, None if scale is None else (scale,))
    at = scale if scale is not None else network.scales[0]
    names = dataset.image_names()
    measured = channel_sparsity(network.at_scale(at).eval(), {name: dataset.lr(name, at, found) for name in names}, at)
    about = joined((f"{len(names)} images of {dataset.name}, x{at}", about_weights(model, weights)))
    with figure_style():
        save_figure(_draw(str(network.model_name), about, measured), output)
    typer.echo(f"{output}")


def _draw(name: str, about: str, measured: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    import numpy as np

    from srbench.plugin import FIGURE_COLORS, FigureSheet

    layers = list(measured)
    channels = max(len(values) for values in measured.values())
    table = np.full((len(layers), channels), np.nan)
    for row, values in enumerate(measured.values()):
        table[row, : len(values)] = np.sort(values)
    row_height = max(_ROW, 0.9 / len(layers))
    height = len(layers) * row_height
    sheet = FigureSheet(_LEFT + _WIDTH + 2.95, _TOP + height + 0.55, f"Feature sparsity of {name}")
    sheet.text(0.12, 0.44, f"fraction of zeros after ReLU; {about}", color="0.35", size=8)
    axes = sheet.axes(_LEFT, _TOP, _WIDTH, height)
    image = axes.imshow(table, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(range(len(layers)), layers, size=7)
    axes.set_xlabel("channels of a layer, the densest left")
    axes.tick_params(length=2, width=0.4)
    sheet.colorbar(image, _LEFT + _WIDTH + 0.12, _TOP, height, "zeros")
    bars = sheet.axes(_LEFT + _WIDTH + 1.0, _TOP, 1.75, height)
    shares = [float((values >= SPARSE).mean()) for values in measured.values()]
    bars.barh(range(len(layers)), shares, height=0.7, color=FIGURE_COLORS[0])
    bars.set(ylim=(len(layers) - 0.5, -0.5), xlim=(0, 1), yticks=[], xticks=[0, 0.5, 1])
    bars.set_xlabel(f"channels with {SPARSE} or more")
    return sheet.figure
