"""`srbench export`: export a network to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="Model name: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`, or a checkpoint supported by spandrel.",
            metavar="MODEL",
        ),
    ],
    scale: Annotated[int, typer.Option(help="How many times larger the SR image is.", min=1, max=16)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, NAME.onnx.", metavar="FILE")],
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.", metavar="FILE")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Use random weights, to test whether the network can be exported.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Export a network to ONNX: folded, for one scale and images of any size, and verified with onnxruntime.

    Example: `srbench export carn_m.author --scale 2 -o carn_m-x2.onnx`
    """
    import os

    from srbench.cli.output import check_json_target, say, write_json
    from srbench.errors import ConfigError, StoreError
    from srbench.interop.spandrel import checkpoint_named
    from srbench.registry import canonical_name

    if json is not None:
        check_json_target(json, output, weights)
    if output.suffix.lower() != ".onnx" or output.is_dir():
        raise ConfigError(f"-o takes a file that ends in .onnx, got '{output}'")
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"'{output}' cannot be written: nothing can be made in '{folder}'; give another file")
    checkpoint = checkpoint_named(model)
    if checkpoint is not None and weights is not None:
        raise ConfigError(f"'{model}' is a checkpoint itself; leave out --weights {weights}")
    if checkpoint is not None and untrained:
        raise ConfigError(f"'{model}' is a checkpoint, and --untrained asks for random weights; leave out one of them")
    if untrained and weights is not None:
        raise ConfigError(f"--untrained asks for random weights, and --weights {weights} for others; leave out one")
    if checkpoint is None:
        canonical_name(model)

    from srbench.interop.isolated_export import export_checkpoint
    from srbench.interop.onnx import export_onnx
    from srbench.models.factory import create_model
    from srbench.models.loading import load_network
    from srbench.models.weight_files import saved_for

    if checkpoint is not None:
        made = export_checkpoint(checkpoint, scale, output)
    else:
        named = saved_for(weights) if weights is not None else None
        several = named is not None and scale in named.scales
        if untrained:
            network = create_model(model, scale=scale, pretrained=False, seed=0)
        else:
            network = load_network(model, weights, None if several else (scale,))
        made = export_onnx(network, scale, output)
    if json is not None:
        write_json(
            {
                "model": model,
                "scale": scale,
                "untrained": untrained,
                "path": str(made.path),
                "sha256": made.sha256,
                "bytes": made.size,
                "opset": made.opset,
                "operators": made.operators,
                "channels": made.channels,
                "checks": [
                    {"height": height, "width": width, "largest": difference}
                    for (height, width), difference in made.largest.items()
                ],
                "versions": made.versions,
            },
            json,
        )
    if json == "-":
        return
    say(f"{made.path}: {made.size / 1e6:.2f} MB, opset {made.opset}, {sum(made.operators.values())} operators")
    if untrained:
        typer.echo("its weights are random: the file only shows that the network can be exported")
    held = "RGB in 0..1" if made.channels == 3 else "luma in 16/255..235/255"
    sizes = [f"(N, {made.channels}, {factor}h, {factor}w)" for factor in ("", scale)]
    typer.echo(f"input lr {sizes[0]}, {held}; output sr {sizes[1]}, not clamped")
    for (height, width), difference in made.largest.items():
        typer.echo(f"onnxruntime and torch on {width}x{height}: at most {difference:.1e} of the range apart")
