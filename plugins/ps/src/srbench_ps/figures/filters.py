"""`srbench figure filters`: the kernels of chosen layers, at every scale, one network beside another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from srbench.plugin import Backbone, SharingSite

__all__ = ["filters"]


def filters(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The network.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.", metavar="FILE.png|FILE.svg")],
    layers: Annotated[
        str | None, typer.Option(help="Layers, separated by commas.", show_default="of the first, middle, last block")
    ] = None,
    count: Annotated[int, typer.Option(help="How many output channels of each layer.", min=1, max=16)] = 5,
    channel: Annotated[int, typer.Option(help="The input channel.", min=0, max=1_000_000)] = 0,
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="What --weights serves, where the file does not say it.", metavar="2,3,4")
    ] = None,
    beside: Annotated[str | None, typer.Option(help="A second network of the same backbone.", metavar="MODEL")] = None,
    beside_weights: Annotated[Path | None, typer.Option(help="Its checkpoint, instead of a tag's.")] = None,
) -> None:
    """Show filters of chosen layers: W[0:5, 0] of each, at every scale.

    A recursive network repeats the same filters at every depth; with partial filters each layer has its own
    (Figures 1, 2 and 5 of the PS paper's supplement).

    Example: `srbench figure filters drrn_b1u9+ps.author -o filters.png`

    Example: `srbench figure filters "edsr_tiny+recursive" --weights a.safetensors --beside "edsr_tiny+ps"
    --beside-weights b.safetensors -o filters.png`
    """
    from srbench.plugin import ConfigError, check_figure_path, figure_style, save_figure

    check_figure_path(output)
    if beside is None and beside_weights is not None:
        raise ConfigError("--beside-weights needs --beside MODEL, the network that they belong to")

    from srbench_ps.loading import load_network, parse_scales

    networks = [load_network(model, weights, parse_scales(scales))]
    if beside is not None:
        networks.append(load_network(beside, beside_weights, parse_scales(scales)))
    paths = _chosen(networks[0].sharing_sites(), layers)
    panels = [(str(network.model_name), _panels(network, paths, count, channel)) for network in networks]
    with figure_style():
        from srbench_ps.figures.filters_drawing import draw

        save_figure(draw(panels, paths, channel), output)
    typer.echo(f"{output}")


@dataclass(frozen=True)
class Panel:
    """Hold the kernels of one network at one scale, `(count, k_h, k_w)` per layer."""

    scale: int
    kernels: list[npt.NDArray[np.float64]]


def _chosen(sites: Sequence[SharingSite], layers: str | None) -> list[str]:
    from srbench.plugin import ConfigError, UnknownNameError, suggest

    known = [site.path for site in sites if site.kind in ("conv", "tconv")]
    if not known:
        raise ConfigError("this network declares no convolutions that share weights, so there is nothing to compare")
    if layers is None:
        steps = list(dict.fromkeys(site.step for site in sites if site.path in known))
        chosen = {steps[0], steps[len(steps) // 2], steps[-1]}
        return [site.path for site in sites if site.path in known and site.step in chosen][:12]
    wanted = [path.strip() for path in layers.split(",")]
    for path in wanted:
        if path not in known:
            raise UnknownNameError(f"no shared layer '{path}'" + suggest(path, known, noun="layers"))
    return wanted


def _panels(network: Backbone, paths: Sequence[str], count: int, channel: int) -> list[Panel]:
    from torch import nn

    from srbench.plugin import ConfigError, fold, layer_at
    from srbench_ps.tiling import canonical_kernel

    panels = []
    for scale in network.scales:
        plain = fold(network, scale)
        kernels = []
        for path in paths:
            layer = layer_at(plain, path)
            if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                raise ConfigError(f"'{path}' of '{network.model_name}' is a {type(layer).__name__}, without one kernel")
            kernel = canonical_kernel(layer).detach().double()
            if channel >= len(kernel):
                raise ConfigError(f"--channel {channel}: '{path}' has {len(kernel)} input channels, counted from 0")
            kernels.append(kernel[channel, :count].numpy())
        panels.append(Panel(scale, kernels))
    return panels
