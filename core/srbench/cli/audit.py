"""`srbench audit`: the tensors that a network shares, and its size without sharing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.cost.audit import Audit, TensorUse
    from srbench.models.backbone import Backbone
    from srbench.registry.names import ModelName

__all__ = ["audit"]


def audit(
    model: Annotated[
        str, typer.Argument(help="Model name: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.", metavar="MODEL")
    ],
    scale: Annotated[int | None, typer.Option(help="The network deployed for one scale.", min=1, max=16)] = None,
    scales: Annotated[
        str | None, typer.Option(help="The whole network for several scales, e.g. 2,3,4.", metavar="A,B")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A checkpoint: then also what folding leaves of the network.", metavar="FILE"),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Show which layers use which tensors, how often each is executed, and the network's size without sharing.

    Example: `srbench audit drrn_b1u9+ps.author --scale 2`

    Example: `srbench audit carn+ps --scales 2,3,4`

    Example: `srbench audit edsr_tiny+dhp --scale 2 --weights pruned.safetensors`
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError, SharingError
    from srbench.registry import canonical_name

    if json is not None:
        check_json_target(json, weights)
    name = canonical_name(model)
    if (scale is None) == (scales is None):
        raise ConfigError("give either --scale 2 or --scales 2,3,4")
    wanted = (scale,) if scale is not None else _numbers(scales or "")

    from srbench.cost.audit import audit as audited
    from srbench.models.counting import count_parameters
    from srbench.models.factory import create_model
    from srbench.models.surgery import fold

    network = _network(name, weights, wanted)
    found = audited(network)
    folded = {one: count_parameters(fold(network, one)) for one in wanted} if weights is not None else {}
    dense: dict[int, int] = {}
    try:
        for one in wanted:
            dense[one] = count_parameters(create_model(f"{name.backbone}+dense", scale=one, seed=0))
    except SharingError:
        dense = {}  # a backbone without sites has no other form
    if json is not None:
        write_json(_payload(found, dense, f"{name.backbone}+dense", folded), json)
    if json != "-":
        _show(found, dense, f"{name.backbone}+dense", folded)


def _network(name: ModelName, weights: Path | None, scales: tuple[int, ...]) -> Backbone:
    from srbench.models.factory import create_model
    from srbench.models.loading import load_at_scale, load_network

    if weights is None:
        return create_model(name, scales=scales, pretrained=False, seed=0)
    return load_at_scale(str(name), weights, *scales) if len(scales) == 1 else load_network(str(name), weights, scales)


def _numbers(text: str) -> tuple[int, ...]:
    from srbench.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f"--scales is a list such as 2,3,4; got '{text}'")
    numbers = [int(part) for part in parts if len(part) < 4]
    if len(numbers) < len(parts) or max(numbers) > 16:
        raise ConfigError(f"--scales takes scales from 1 to 16; got '{text}'")
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"--scales names a scale twice: '{text}'; keep one")
    return tuple(numbers)


def _show(found: Audit, dense: dict[int, int], dense_name: str, folded: dict[int, int]) -> None:
    from srbench.cli.output import print_table

    at = ", ".join(f"x{scale}" for scale in found.scales)
    rows = [list(row) for row in _shared_rows(found)]
    if rows:
        print_table(
            f"{found.model} at {at}: tensors used by several layers, or executed several times",
            ["shared", "used by", "numbers", "layers each", "executions each"],
            rows,
            left=2,
        )
    else:
        typer.echo(f"{found.model} at {at}: no tensor is used by two layers, and no layer is executed twice")
    print_table("numbers", ["", *(f"x{scale}" for scale in found.scales)], _summary(found, dense, dense_name, folded))
    _others(found)
    if found.depth > 1:
        from srbench.cost.audit import compact_paths

        typer.echo(f"recursion depth {found.depth}: {compact_paths(found.deepest)} is one layer")
    else:
        typer.echo("recursion depth 1: no layer is executed again with the same weights")


def _summary(found: Audit, dense: dict[int, int], dense_name: str, folded: dict[int, int]) -> list[list[str]]:
    same = [""] * (len(found.scales) - 1)
    rows = [
        ["unique: each tensor once" + (", all scales" if same else ""), f"{found.unique:,}", *same],
        ["stored in the state dict" + (", all scales" if same else ""), f"{found.stored:,}", *same],
        ["executed: each use counted", *(f"{found.executed[scale]:,}" for scale in found.scales)],
        ["unshared: each use with its own", *(f"{found.unshared[scale]:,}" for scale in found.scales)],
    ]
    if folded:
        rows.append(["folded, with these weights", *(f"{folded[scale]:,}" for scale in found.scales)])
    if dense:
        rows.append([f"dense form ({dense_name})", *(f"{dense[scale]:,}" for scale in found.scales)])
    return rows


def _shared_rows(found: Audit) -> Iterable[tuple[str, str, str, str, str]]:
    """Yield one row for tensors with the same users: names, users, numbers, layers and executions."""
    from srbench.cost.audit import compact_paths

    groups: dict[tuple[Any, ...], list[TensorUse]] = {}
    for tensor in found.tensors:
        if not tensor.repeated:
            continue
        module = tensor.name.rpartition(".")[0]
        form = tuple(dict.fromkeys(re.sub(r"\d+", "#", path) for path in tensor.layers))
        used = (len(tensor.layers), tuple(tensor.executions.values()))
        groups.setdefault((re.sub(r"\d+", "#", module), form, used), []).append(tensor)
    for tensors in groups.values():
        names = list(dict.fromkeys(tensor.name.rpartition(".")[0] for tensor in tensors))
        layers = list(dict.fromkeys(path for tensor in tensors for path in tensor.layers))
        counts = list(dict.fromkeys(tensors[0].executions.values()))
        yield (
            compact_paths(names),
            compact_paths(layers),
            f"{sum(tensor.numbers for tensor in tensors):,}",
            str(len(tensors[0].layers)),
            "/".join(map(str, counts)),
        )


def _others(found: Audit) -> None:
    """Print tensors that are not shared: used at all scales, at some scales, or not at all."""
    several = len(found.scales) > 1
    kinds = {
        "used by one layer, once" + (", at every scale" if several else ""): lambda used: (
            len(used) == len(found.scales)
        ),
        "used by one layer, once, at some scales": lambda used: 0 < len(used) < len(found.scales),
        "not used by the forward pass": lambda used: not used,
    }
    for kind, fits in kinds.items():
        members = [
            tensor
            for tensor in found.tensors
            if not tensor.repeated and fits([count for count in tensor.executions.values() if count])
        ]
        if members:
            numbers = sum(tensor.numbers for tensor in members)
            typer.echo(f"{kind}: {len(members)} tensors, {numbers:,} numbers")


def _payload(found: Audit, dense: dict[int, int], dense_name: str, folded: dict[int, int]) -> dict[str, Any]:
    def by_scale(values: dict[int, int]) -> dict[str, int]:
        return {str(scale): value for scale, value in values.items()}

    return {
        "model": found.model,
        "scales": list(found.scales),
        "unique": found.unique,
        "stored": found.stored,
        "executed": by_scale(found.executed),
        "unshared": by_scale(found.unshared),
        "folded": by_scale(folded) if folded else None,
        "dense_model": dense_name if dense else None,
        "dense": by_scale(dense) if dense else None,
        "recursion_depth": found.depth,
        "deepest": list(found.deepest),
        "tensors": [
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "numbers": tensor.numbers,
                "layers": list(tensor.layers),
                "executions": by_scale(tensor.executions),
                "shared": tensor.shared,
            }
            for tensor in found.tensors
        ],
    }
