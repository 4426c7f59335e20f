"""`srbench figure masks`: spatial masks and dense channels of each module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

__all__ = ["masks"]

if TYPE_CHECKING:
    from srbench.plugin import Dataset, Protocol
    from srbench_sparse_mask.figures.masks_drawing import Panel


def masks(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network with sparse masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file.", metavar="FILE.png|FILE.svg")] = Path(
        "masks.png"
    ),
    image: Annotated[
        str | None, typer.Option(help="Images, separated by commas.", show_default="the first of embedded-test")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Their data set.", metavar="NAME|DIR", show_default="the first standard set with them"),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="The scale.", show_default="the first scale of the weights")
    ] = None,
    beside: Annotated[str | None, typer.Option(help="A second network with masks.", metavar="MODEL")] = None,
    beside_weights: Annotated[Path | None, typer.Option(help="Its checkpoint, instead of a tag's.")] = None,
    protocol: Annotated[str, typer.Option(help="The protocol that generates LR images.")] = "matlab-y",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
) -> None:
    """Show the spatial masks and dense channels of each module for an image.

    Figure V of SMSR's supplement; with --beside, two networks, such as one with learned and one with gradient masks
    (Figure VII).

    Example: `srbench figure masks smsr.author --image butterfly`

    Example: `srbench figure masks srresnet_tiny+sparse_mask --weights learned.safetensors --beside
    "srresnet_tiny+sparse_mask(spatial=gradient)" --beside-weights gradient.safetensors -o learned-gradient.png`
    """
    from srbench.plugin import ConfigError, check_figure_path, figure_style, get_protocol, save_figure
    from srbench_sparse_mask.figures.images import credit, find_images, joined

    check_figure_path(output)
    if beside is None and beside_weights is not None:
        raise ConfigError("--beside-weights needs --beside MODEL, the network that they belong to")
    found = get_protocol(protocol)
    images = find_images(image, data)

    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    panels = [_panel(model, weights, scale, images, found)]
    if beside is not None:
        panels.append(_panel(beside, beside_weights, panels[0].scale, images, found))
    with figure_style():
        from srbench_sparse_mask.figures.masks_drawing import draw

        save_figure(draw(panels, joined([credit(*place) for place in images])), output)
    typer.echo(f"{output}")


def _panel(
    model: str, weights: Path | None, scale: int | None, images: list[tuple[Dataset, str]], protocol: Protocol
) -> Panel:
    from srbench.plugin import load_network
    from srbench_sparse_mask.figures.images import about_weights
    from srbench_sparse_mask.figures.masks_drawing import Panel
    from srbench_sparse_mask.figures.recording import require_masks, run_recorded

    network = load_network(model, weights, None if scale is None else (scale,))
    require_masks(network)
    at = scale if scale is not None else network.scales[0]
    view = network.at_scale(at).eval()
    pairs = [dataset.pair(name, at, protocol) for dataset, name in images]
    return Panel(
        name=str(network.model_name),
        about=about_weights(str(network.model_name), weights),
        scale=at,
        pictures=[hr for _, hr in pairs],
        modules=[run_recorded(view, lr, at) for lr, _ in pairs],
    )
