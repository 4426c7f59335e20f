"""`srbench data`: list, download, verify, describe and compare data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from srbench.cli.data_leaks import leaks
from srbench.cli.data_register import register_command, unregister_command

__all__ = ["app"]

app = typer.Typer(name="data", help="List, download, verify, describe and compare data sets.", no_args_is_help=True)
app.command("leaks")(leaks)
app.command("register")(register_command)
app.command("unregister")(unregister_command)

Json = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
]
DataArgument = Annotated[str, typer.Argument(help="Name of a data set, or a folder of images.", metavar="NAME|DIR")]


@app.command("list")
def list_(json: Json = None) -> None:
    """List data sets and how many of their images are available: installed, registered and known ones.

    Data sets of broken plugins are left out, with the reason.

    Example: `srbench data list`
    """
    from srbench.cli.data_register import listed_by_hand, registered_rows
    from srbench.cli.output import print_table, say, write_json
    from srbench.errors import SRBenchError
    from srbench.registry import DATASETS, get_dataset

    unusable: list[dict[str, str]] = []
    rows = []
    for name in DATASETS.installed():
        try:
            dataset = get_dataset(name)
            count = len(dataset.image_names())
            rows.append((name, count, count - len(dataset.missing()), dataset.redistributable))
        except Exception as error:  # a plugin's data set may raise anything, which must not hide the others
            kind = "" if isinstance(error, SRBenchError) else f"{type(error).__name__}: "
            unusable.append({"name": name, "reason": " ".join(f"{kind}{error}".split())})
    registered, by_hand = registered_rows(), listed_by_hand()
    if json is not None:
        keys = ("name", "images", "available", "redistributable")
        known = [dict(zip(keys, row, strict=True)) | {"folder": None, "licence": None} for row in rows]
        write_json({"datasets": [*known, *registered], "not_registered": by_hand, "unusable": unusable}, json)
    for one in unusable:
        say(f"left out: {one['name']}: {one['reason']}", err=True)
    if json == "-":
        return
    rows += [(row["name"], row["images"], row["available"], False) for row in registered]
    print_table(
        "Data sets",
        ["name", "images", "here", "crops may be shown"],
        ([name, str(count), str(have), "yes" if free else "no"] for name, count, have, free in rows),
    )
    for row in registered:
        say(f"{row['name']}: registered from {row['folder']}" + (f"; {row['licence']}" if row["licence"] else ""))
    if by_hand:
        names = ", ".join(one["name"] for one in by_hand)
        typer.echo(f"To be downloaded by hand and registered: {names} (`srbench data info NAME` says how).")


@app.command()
def download(
    names: Annotated[list[str], typer.Argument(help="Names of data sets.", metavar="NAME")], json: Json = None
) -> None:
    """Download the images that are not in the cache yet; can be interrupted and repeated.

    Example: `srbench data download Set5 Urban100`
    """
    from srbench.cache import Cache
    from srbench.cli.output import check_json_target, write_json
    from srbench.cli.steps import steps
    from srbench.data.known_sets import how_to_register, known_set
    from srbench.errors import UnknownNameError
    from srbench.registry import get_dataset, list_datasets

    if json is not None:
        check_json_target(json)
    for name in set(names) - set(list_datasets()):
        if (by_hand := known_set(name)) is not None:
            raise UnknownNameError(how_to_register(by_hand))
    datasets = [get_dataset(name) for name in names]  # all names are looked up before the first download
    fetched = {}
    for dataset in datasets:
        missing = dataset.missing()
        with steps(dataset.name, len(missing)) as tell:
            for done, image in enumerate(missing, 1):
                dataset.hr(image)
                tell(done, image)
        fetched[dataset.name] = len(missing)
    if json is not None:
        write_json({"cache": str(Cache().root), "downloaded": fetched}, json)
    if json != "-":
        for dataset in datasets:
            typer.echo(f"{dataset.name}: {fetched[dataset.name]} downloaded, {len(dataset.image_names())} here")


@app.command()
def verify(
    data: DataArgument,
    scale: Annotated[int | None, typer.Option(help="Compare the LR files of this scale.", min=1)] = None,
    protocol: Annotated[str, typer.Option(help="Protocol of the LR images to compare with.")] = "matlab-y",
    rounding: Annotated[
        str | None, typer.Option(help="Round LR images per_pass or once, instead of as in the protocol.")
    ] = None,
    padding: Annotated[
        str | None, typer.Option(help="Pad with symmetric or replicate, instead of as in the protocol.")
    ] = None,
    json: Json = None,
) -> None:
    """Read every image; with --scale, compare the LR files of a folder with generated ones.

    Exits with status 1 if anything differs.

    Example: `srbench data verify ~/datasets/Set5 --scale 2`
    """
    from dataclasses import asdict, replace
    from typing import get_args

    from srbench.cli.output import print_table, write_json
    from srbench.data.datasets import open_dataset
    from srbench.data.verify import verify_hr, verify_lr
    from srbench.errors import ConfigError
    from srbench.images.resize import Padding, Rounding
    from srbench.protocols import get_protocol

    settings = get_protocol(protocol)
    for option, value, field, known in (
        ("--rounding", rounding, "lr_rounding", [name for name in get_args(Rounding) if name != "none"]),
        ("--padding", padding, "lr_padding", get_args(Padding)),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"{option} is {' or '.join(known)}, got '{value}'")
        if value is not None:
            settings = replace(settings, **{field: value})  # type: ignore[arg-type]
    dataset = open_dataset(data)
    findings = verify_hr(dataset) if scale is None else verify_lr(dataset, scale, settings)
    wrong = sum(not finding.ok for finding in findings)
    if json is not None:
        payload = {
            "dataset": dataset.name,
            "compared": "hr" if scale is None else "lr",
            "scale": scale,
            "lr_rounding": settings.lr_rounding,
            "lr_padding": settings.lr_padding,
            "wrong": wrong,
            "images": [asdict(finding) for finding in findings],
        }
        write_json(payload, json)
    if json != "-":
        if scale is None:
            rows = [[f.image, "ok" if f.ok else "wrong", f.note] for f in findings]
            print_table(f"HR images of {dataset.name}", ["image", "", "pixel hash"], rows, left=3)
        else:
            columns = ["image", "", "values", "differing", "largest", ""]
            rows = [
                [f.image, "ok" if f.ok else "differs", str(f.values), str(f.differing), str(f.largest), f.note]
                for f in findings
            ]
            print_table(f"x{scale} LR images of {dataset.name}, against generated ones", columns, rows, left=2)
        typer.echo(f"{len(findings) - wrong} of {len(findings)} images are correct")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def info(data: DataArgument, json: Json = None) -> None:
    """Describe a data set: images, hashes, licences, and LR files in the folder.

    Example: `srbench data info embedded-test`
    """
    from dataclasses import asdict

    from srbench.cli.output import print_table, say, write_json
    from srbench.data.datasets import open_dataset
    from srbench.data.folders import FolderDataset

    dataset = open_dataset(data)  # of a known set that is not registered, the error says how to get it
    names = dataset.image_names()
    missing = set(dataset.missing())
    hashes = dataset.pixel_hashes()
    licences = {name: dataset.licence(name) for name in names}
    shipped = dataset.shipped_scales if isinstance(dataset, FolderDataset) else ()
    lonely = {scale: dataset.without_lr(scale) for scale in shipped} if isinstance(dataset, FolderDataset) else {}
    images = [
        {
            "image": name,
            "available": name not in missing,
            "pixels_sha256": hashes[name],
            "licence": asdict(licence) if (licence := licences[name]) is not None else None,
        }
        for name in names
    ]
    if json is not None:
        payload = {
            "name": dataset.name,
            "content_hash": dataset.content_hash(),
            "redistributable": dataset.redistributable,
            "lr_scales": list(shipped),
            "without_lr": {str(scale): without for scale, without in lonely.items()},
            "images": images,
        }
        write_json(payload, json)
    if json == "-":
        return
    rows = []
    for name in names:
        licence = licences[name]
        terms = f"{licence.licence}, {licence.author}" if licence is not None else ""
        rows.append([name, "missing" if name in missing else "here", hashes[name][:16], terms])
    print_table(f"{dataset.name}, content {dataset.content_hash()}", ["image", "", "pixels", "licence"], rows, left=4)
    for scale in shipped:
        without = lonely[scale]
        ending = f", but not for {', '.join(without)}" if without else " for every image"
        say(f"LR files of scale {scale} are there{ending}; LR images are generated unless --lr shipped is given")
