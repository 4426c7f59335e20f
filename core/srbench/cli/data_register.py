"""`srbench data register` and `unregister`: folders of images under names of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["listed_by_hand", "register_command", "registered_rows", "unregister_command"]

Json = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
]


def register_command(
    name: Annotated[str, typer.Argument(help="The name, e.g. Manga109.", metavar="NAME")],
    folder: Annotated[Path, typer.Argument(help="The HR images, or a folder with HR and LR images.", metavar="FOLDER")],
    scale: Annotated[
        list[int] | None,
        typer.Option(help="There must be LR files of this scale; may be given several times.", min=2, max=16),
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the images.", metavar="TEXT")] = "",
    url: Annotated[str, typer.Option(help="Where the images come from.", metavar="URL")] = "",
    json: Json = None,
) -> None:
    """Register a folder of images under a name, which then works wherever a data set is asked for.

    The images stay where they are; their pixel hashes are stored. Other images are refused under the same name.

    Example: `srbench data register DIV2K-valid ~/datasets/DIV2K_valid_HR`
    """
    from srbench.cli.output import check_json_target, say, write_json
    from srbench.cli.steps import steps
    from srbench.data.registration import register

    if json is not None:
        check_json_target(json, folder)
    with steps(f"registering {name}", 1.0) as tell:
        manifest = register(
            name,
            folder,
            scales=scale or (),
            licence=licence,
            url=url,
            progress=lambda done, total, image: tell(done / total, image),
        )
    if json is not None:
        write_json(
            {
                "name": name,
                "folder": manifest.folder,
                "images": len(manifest.images),
                "content_hash": manifest.content_hash,
                "lr_scales": list(manifest.scales),
                "licence": manifest.licence,
                "url": manifest.url,
            },
            json,
        )
    if json != "-":
        typer.echo(f"{name}: {len(manifest.images)} images registered, content {manifest.content_hash}")
        if manifest.licence:
            say(f"Terms: {manifest.licence}")


def unregister_command(
    name: Annotated[str, typer.Argument(help="A registered name.", metavar="NAME")], json: Json = None
) -> None:
    """Forget a registered name; the images stay where they are.

    Example: `srbench data unregister DIV2K-valid`
    """
    from srbench.cli.output import check_json_target, say, write_json
    from srbench.data.registration import unregister

    if json is not None:
        check_json_target(json)
    manifest = unregister(name)
    if json is not None:
        write_json({"name": name, "folder": None if manifest is None else manifest.folder}, json)
    if json != "-":
        place = "" if manifest is None else f"; its images are still in {manifest.folder}"
        say(f"{name} is no longer registered{place}")


def registered_rows() -> list[dict[str, Any]]:
    """Return what `srbench data list` tells of every registered data set, also where its folder is gone."""
    from srbench.data.registration import available
    from srbench.errors import StoreError
    from srbench.registry.registered_data import read_manifest, registered_names

    rows = []
    for name in registered_names():
        try:
            manifest = read_manifest(name)
        except StoreError:
            row: dict[str, Any] = {"name": name, "images": 0, "available": 0, "folder": "a damaged manifest"}
            licence = ""
        else:
            row = {"name": name, "images": len(manifest.images), "available": available(manifest)}
            row["folder"], licence = manifest.folder, manifest.licence
        rows.append(row | {"redistributable": False, "licence": licence})
    return rows


def listed_by_hand() -> list[dict[str, Any]]:
    """Return the known data sets that are not registered, with their terms and places."""
    from dataclasses import asdict

    from srbench.data.known_sets import known_sets
    from srbench.registry import list_datasets

    there = set(list_datasets())
    return [asdict(one) for one in known_sets() if one.name not in there]
