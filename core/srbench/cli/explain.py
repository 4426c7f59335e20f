"""`srbench explain`: what a protocol does, and how each of its choices changes the figures."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["explain"]


def explain(
    protocol: Annotated[
        str | None,
        typer.Argument(help="Name of a protocol (`srbench list protocols`).", metavar="PROTOCOL", show_default=False),
    ] = None,
    scale: Annotated[int, typer.Option(help="Scale at which the changes are measured.", min=2, max=8)] = 2,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Explain a protocol: each choice in a sentence, and how much another choice would change PSNR and SSIM.

    The changes are measured on the embedded test images, one choice at a time.

    Example: `srbench explain matlab-y --scale 2`
    """
    import textwrap

    from srbench.cli.output import check_json_target, print_table, write_json
    from srbench.errors import ConfigError
    from srbench.evaluation.protocol_costs import measure_costs
    from srbench.protocols import get_protocol, list_protocols

    if protocol is None:
        raise ConfigError(f"say which protocol to explain: {' or '.join(list_protocols())}")
    found = get_protocol(protocol)
    if json is not None:
        check_json_target(json)
    costs = measure_costs(found, scale)
    if json is not None:
        write_json(
            {
                "protocol": found.name,
                "digest": found.digest,
                "settings": found.settings,
                "meaning": found.meaning(),
                "costs": costs.to_json(),
            },
            json,
        )
    if json == "-":
        return
    typer.echo(found.explain())
    measured = (
        f"The effect of each choice, measured on the {costs.images} images of {costs.dataset} at x{scale}. SR images "
        f"come from {costs.model}: {costs.psnr:.3f} dB, SSIM {costs.ssim:.5f} under {found.name}. Quantisation affects "
        "better models more: its error stays the same, while their own is smaller."
    )
    typer.echo(f"\n{textwrap.fill(measured, 80)}\n")
    print_table(
        "Change of the means if one choice is replaced",
        ["choice", found.name, "alternative", "PSNR, dB", "SSIM"],
        (
            [choice.setting, choice.chosen, choice.instead, f"{choice.psnr:+.4f}", f"{choice.ssim:+.5f}"]
            for choice in costs.choices
        ),
        left=3,
    )
