"""Laws of packed boards: packing and unpacking are inverse, deterministic, and notice every damage."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from srbench.results.cell_files import fill, parquet
from srbench.results.packed import PackedStore, Values
from srbench.results.packing import add, pack, unpack
from srbench.results.records import Record
from srbench.results.store import RunStore

names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
values = st.floats(allow_nan=True, allow_infinity=True)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[Record, pd.DataFrame, dict[str, bytes], dict[str, Any] | None]]:
    """Draw a run's cells: models on data sets with any images, metrics and values, some failed, some with crops."""
    metrics = draw(st.lists(st.sampled_from(["psnr_y", "ssim_y", "lpips", "z"]), min_size=1, max_size=3, unique=True))
    cells = []
    for model, dataset in draw(
        st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["A", "B"])), max_size=5, unique=True)
    ):
        failed = draw(st.booleans()) and draw(st.booleans())
        own = draw(st.permutations(metrics))
        images = [] if failed else draw(st.lists(names, min_size=1, max_size=4, unique=True))
        table = pd.DataFrame({"image": images})
        for name in [] if failed else own:
            table[name] = np.array(draw(st.lists(values, min_size=len(images), max_size=len(images))), float)
        crops = {f"images/{index}.sr.png": draw(st.binary(max_size=5)) for index in range(draw(st.integers(0, 2)))}
        record = Record(
            key=sha(model + dataset),
            status="failed" if failed else "ok",
            error=draw(st.none() | names) if failed else None,
            model=model,
            backbone=model,
            scale=2,
            seed=draw(st.none() | st.integers(0, 9)),
            dataset=dataset,
            dataset_hash=sha(dataset),
            images=len(images),
            protocol="matlab-y",
            protocol_digest=sha("matlab-y"),
            tier="reproduced",
            metrics={} if failed else {name: float(table[name].iloc[0]) for name in own},
            created="2024-05-06T07:08:09+00:00",
            crops=sorted(crops),
        )
        cells.append((record, table, crops, draw(st.none() | st.just({"forward_seconds": {"a": 0.5}}))))
    return cells


def written(folder: Path, cells: list[tuple[Record, pd.DataFrame, dict[str, bytes], dict[str, Any] | None]]) -> Path:
    (folder / "cells").mkdir(parents=True)
    for record, table, crops, speed in cells:
        contents = {**crops, "per_image.parquet": parquet(table), "record.json": record.to_json().encode()}
        fill(folder / "cells" / record.directory_name, contents, speed)
    return folder


def content(folder: Path) -> dict[str, tuple[bytes, pd.DataFrame, Any, dict[str, bytes]]]:
    """Return all that a run directory says, by the names of its cells."""
    return {
        cell.name: (
            (cell.directory / "record.json").read_bytes(),
            cell.per_image,
            cell.speed,
            {str(path.name): path.read_bytes() for path in sorted(cell.directory.glob("images/*"))},
        )
        for cell in RunStore(folder).cells()
    }


@given(cells=runs())
@settings(deadline=None)
def test_unpacking_gives_back_what_was_packed_and_packing_it_again_the_same_bytes(cells: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = written(folder / "run", cells)
        pack(run, folder / "board")
        unpack(folder / "board", folder / "back")
        before, after = content(run), content(folder / "back")
        assert before.keys() == after.keys()
        for cell, (record, table, speed, crops) in before.items():
            assert (record, speed, crops) == (after[cell][0], after[cell][2], after[cell][3])
            assert list(table) == list(after[cell][1])
            assert len(table) == len(after[cell][1])
            assert Values(list(table["image"]), {c: table[c].to_numpy() for c in table if c != "image"}).sha256 == (
                Values(
                    list(after[cell][1]["image"]),
                    {c: after[cell][1][c].to_numpy() for c in after[cell][1] if c != "image"},
                ).sha256
            )
        pack(folder / "back", folder / "again")
        for file in ("records.parquet", "per_image.parquet"):
            assert (folder / "board" / file).read_bytes() == (folder / "again" / file).read_bytes()


@given(cells=runs())
@settings(deadline=None)
def test_packed_board_reads_as_the_run_directory_does(cells: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = written(folder / "run", cells)
        pack(run, folder / "board")
        mine, its = RunStore(run).cells(), RunStore(folder / "board").cells()
        assert [cell.record.to_json() for cell in mine] == [cell.record.to_json() for cell in its]
        for one, other in zip(mine, its, strict=True):
            assert (one.name, one.speed) == (other.name, other.speed)
            assert one.per_image.equals(other.per_image) or not len(one.per_image)
            assert all((other.directory / crop).is_file() for crop in other.record.crops)


@given(cells=runs(), cut=st.integers(0, 5))
@settings(deadline=None)
def test_adding_in_parts_and_in_any_order_gives_the_board_of_all(cells: list[Any], cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack(written(folder / "all", cells), folder / "whole")
        first, second = written(folder / "first", cells[:cut]), written(folder / "second", cells[cut:])
        add(second, folder / "parts")
        add(first, folder / "parts")
        names = [cell.name for cell in PackedStore(folder / "whole").cells()]
        assert [cell.name for cell in PackedStore(folder / "parts").cells()] == names
        assert not PackedStore(folder / "parts").damaged()


@given(column=st.sampled_from(["record", "values", "crop"]), data=st.data())
@settings(deadline=None, max_examples=15)
def test_changed_row_is_named_and_the_others_are_kept(column: str, data: st.DataObject) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pd.DataFrame({"image": ["x", "y"], "psnr_y": [30.0, 31.0]})
    fields: dict[str, Any] = {
        "status": "ok",
        "scale": 2,
        "dataset": "A",
        "dataset_hash": sha("A"),
        "images": 2,
        "protocol": "matlab-y",
        "protocol_digest": sha("matlab-y"),
        "tier": "reproduced",
        "metrics": {"psnr_y": 30.5},
        "created": "2024-05-06T07:08:09+00:00",
        "crops": ["images/x.sr.png"],
    }
    cells = [
        (Record(key=sha(model), model=model, backbone=model, **fields), table, {"images/x.sr.png": b"png"}, None)
        for model in ("a", "b", "c")
    ]
    with tempfile.TemporaryDirectory() as name:
        board = Path(name) / "board"
        pack(written(Path(name) / "run", cells), board)
        row = data.draw(st.integers(0, 2))
        victim = PackedStore(board).cells()[row].name
        if column == "crop":
            (board / "images" / victim / "images" / "x.sr.png").write_bytes(b"pnG")
        else:
            file = board / ("records.parquet" if column == "record" else "per_image.parquet")
            changed = pq.read_table(file)
            field = "record" if column == "record" else "psnr_y"
            column_values = changed[field].to_pylist()
            if column == "record":
                column_values[row] = json.dumps(json.loads(column_values[row]) | {"images": 3})
            else:
                column_values[2 * row] += 0.001
            index = changed.column_names.index(field)
            pq.write_table(changed.set_column(index, field, pa.array(column_values, changed[field].type)), file)
        store = PackedStore(board)
        assert set(store.damaged()) == {victim}
        assert len(store.cells()) == 2
