"""`srbench compress`: a trained network's weights, approximated by Partial filter-Sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compress"]


def compress(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A trained network: BACKBONE.TAG, or BACKBONE with --weights.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the weights go.", metavar="FILE.safetensors")],
    ratio: Annotated[str | None, typer.Option(help="Share of partial filters to keep, such as 1/2.")] = None,
    num_filters: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Their number, instead of --ratio.")
    ] = None,
    shape: Annotated[str, typer.Option(help="Partial-filter shape: input x output channels x height x width.")] = (
        "CxCx1x1"
    ),
    method: Annotated[str, typer.Option(help="The sharing method: ps.")] = "ps",
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scale: Annotated[int | None, typer.Option(min=1, max=16, help="The scale that the weights serve.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="Several scales, of a multi-scale network.", metavar="2,3,4")
    ] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON.")] = None,
) -> None:
    """Compress a trained network by Partial filter-Sharing, without training.

    The filters and coefficients are the truncated SVD of the trained kernels, which is the best approximation of this
    size. `srbench train NAME --weights FILE` trains on from there.

    Example: `srbench compress edsr_tiny --weights tiny.safetensors --scale 2 --ratio 1/2 -o half.safetensors`
    """
    from srbench.plugin import ConfigError, ModelName, canonical_name, make_method, parse_value, print_table, write_json

    if method != "ps":
        raise ConfigError(f"--method {method}: this command compresses by 'ps'")
    if (ratio is None) == (num_filters is None):
        raise ConfigError("say how far to compress: either --ratio 1/2 or --num-filters 72")
    if scale is not None and scales is not None:
        raise ConfigError("give either --scale 2 or --scales 2,3,4, not both")
    if output.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors; got '{output.name}'")
    size = ("ratio", parse_value(ratio)) if ratio is not None else ("num_filters", num_filters or 0)
    name = canonical_name(model)
    made = make_method(ModelName(name.backbone, "ps", (("init", "svd"), ("shape", shape), size)))

    from srbench.plugin import count_parameters, save_state
    from srbench_ps.compress import compress_network
    from srbench_ps.loading import load_network, parse_scales
    from srbench_ps.method import PS

    assert isinstance(made, PS)  # the name asks for it
    trained = load_network(model, weights, (scale,) if scale is not None else parse_scales(scales))
    result = compress_network(trained, made)
    digest = save_state(result.model, output)
    before, after = count_parameters(trained), count_parameters(result.model)
    if json is not None:
        write_json(
            {
                "model": str(result.model.model_name),
                "scales": list(result.model.scales),
                "parameters": after,
                "parameters_before": before,
                "error": result.error,
                "relative_error": result.relative,
                "singular_values_left_out": result.tail,
                "layers": [
                    {"path": layer.path, "error": layer.error, "norm": layer.norm, "relative_error": layer.relative}
                    for layer in result.layers
                ],
                "weights": str(output),
                "weights_sha256": digest,
            },
            json,
        )
    if json == "-":
        return
    rows = [[layer.path, f"{layer.norm:.4f}", f"{layer.error:.4f}", f"{layer.relative:.4f}"] for layer in result.layers]
    rows.append(["all", f"{result.norm:.4f}", f"{result.error:.4f}", f"{result.relative:.4f}"])
    print_table(
        f"{name} -> {result.model.model_name}: Frobenius norms of kernels and of what is lost",
        ["layer", "kernel", "error", "error/kernel"],
        rows,
    )
    typer.echo(f"parameters: {before:,} -> {after:,}")
    typer.echo(f"singular values left out: {result.tail:.4f} (root of the sum of squares; the error must equal it)")
    typer.echo(f"weights: {output}")
    typer.echo(f'train on: srbench train "{result.model.model_name}" --weights {output} --data ... --scale ...')
