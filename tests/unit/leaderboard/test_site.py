"""The site as files: what is in it, that it is the same in every build, and that it is there wholly or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srbench.errors import StoreError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.chart_labels import LABELLED, overlap, place_labels
from srbench.leaderboard.site import build, build_site
from srbench.leaderboard.site.places import board_place, model_page
from srbench.leaderboard.site.planned import planned
from srbench.leaderboard.site.ties import letters, tie_groups
from srbench.leaderboard.states import State, state_of_row
from srbench.results.origins import Planned, PlannedData
from srbench.results.reported import ReportedFigure
from srbench.results.store import RunStore
from srbench.storage import sha256_bytes

MakeStore = Callable[..., RunStore]
AddCell = Callable[..., Path]


def committed(store: RunStore, root: Path, name: str = "demo") -> Path:
    """Put a run where a folder of leaderboards has it."""
    shutil.copytree(store.path, root / name / "results")
    return root


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page(site: Path, pattern: str) -> str:
    [path] = site.glob(pattern)
    return path.read_text()


class Links(HTMLParser):
    """Collects the addresses that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src") and tag != "use"]


def test_same_results_give_the_same_bytes(demo: RunStore, tmp_path: Path) -> None:
    root = committed(demo, tmp_path / "suites")
    build_site(root, tmp_path / "one")
    build_site(root, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    build_site(root, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two"), "a site that is there is replaced"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")) == []


def test_every_link_leads_to_a_file_of_the_site(demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
    crops = {f"im000.{kind}.png": np.zeros((8, 8, 3), np.uint8) for kind in ("sr", "hr")}
    add_cell(demo, "other+ps", [30.0] * 8, crops=crops, redistributable=True, names=[f"im{i:03d}" for i in range(8)])
    build_site(committed(demo, tmp_path / "suites"), tmp_path / "site")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 5
    for path in pages:
        links = Links()
        links.feed(path.read_text())
        assert links.found
        for link in links.found:
            target, _, fragment = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            assert file.is_file(), f"{path.name}: {link}"
            assert not fragment or f'id="{fragment}"' in file.read_text(), f"{path.name}: {link}"
            assert "://" not in link


def test_every_model_has_a_row_without_scripts_and_a_page(demo: RunStore, tmp_path: Path) -> None:
    site = build_site(committed(demo, tmp_path / "suites"), tmp_path / "site")
    board = page(tmp_path / "site", "boards/*.html")
    models = {entry.record.model for entry in read_results(demo.path).boards[0].entries}
    assert set(site.models) == models
    for model in models:
        assert f"../{model_page(model)}" in board
        text = (tmp_path / "site" / model_page(model)).read_text()
        assert "srbench replay leaderboards/demo/results --model" in text
        assert "submitted" in text
    assert len(re.findall(r'<tr id="r\d+"', board)) == len(models)


def test_a_model_page_has_the_mean_and_its_interval_in_full(demo: RunStore, tmp_path: Path) -> None:
    build_site(committed(demo, tmp_path / "suites"), tmp_path / "site")
    entry = read_results(demo.path).boards[0].groups[0].entries[1]
    text = (tmp_path / "site" / model_page(entry.record.model)).read_text()
    interval = entry.values["A", "psnr_y"].interval
    assert f"{interval.mean:.6f}" in text
    assert f"{interval.low:.4f} to {interval.high:.4f}" in text


def test_values_of_images_are_in_one_script_and_in_no_page(
    make_store: MakeStore, add_cell: AddCell, tmp_path: Path
) -> None:
    store = make_store()
    add_cell(store, "a", [30.12345, 31.54321, 29.98765])
    add_cell(store, "b", [30.0, 31.0, float("inf")])
    build_site(committed(store, tmp_path / "suites"), tmp_path / "site")
    files = content(tmp_path / "site")
    holding = [name for name, data in files.items() if b"31.54321" in data]
    assert len(holding) == 1
    assert holding[0].startswith("data/")
    script = files[holding[0]].decode()
    value = json.loads(script[script.index(",") + 1 : script.rindex(")")])
    assert value["datasets"] == [{"label": "A", "images": ["im000", "im001", "im002"]}]
    rows = {row["name"]: row["values"][0][0] for row in value["rows"].values()}
    assert rows["a"] == [30.12345, 31.54321, 29.98765]
    assert rows["b"] == [30.0, 31.0, "inf"], "JSON has no infinity"


def test_planned_and_missing_is_not_measured(make_store: MakeStore, add_cell: AddCell, tmp_path: Path) -> None:
    definition = {
        "models": [
            {"model": "net"},
            {"model": "net+ps(ratio=1/4)"},
            {"model": "gone.author"},
            {"model": "x4", "scale": 4},
        ],
        "datasets": ["A", "B", "lists/C.txt"],
    }
    store = make_store(definition=definition)
    add_cell(store, "net", [30.0, 31.0])
    add_cell(store, "net", [30.0, 31.0], dataset="B", dataset_hash="b" * 64)
    add_cell(store, "net+ps(ratio=1/4,shape=CxC)", [29.0, 30.0], args={"ratio": "1/4", "shape": "CxC"})
    results = read_results(store.path)
    missing = planned(results.boards[0], results.info)
    assert missing.models == ["gone.author"]
    assert missing.datasets == ["C"]
    build_site(committed(store, tmp_path / "suites"), tmp_path / "site")
    text = page(tmp_path / "site", "boards/*.html")
    [row] = re.findall(r'<tr id="r\d+"[^>]*data-find="net\+ps.*?</tr>', text, re.S)
    assert row.count("not measured") == 3, "PSNR and SSIM of B, PSNR of C"
    [row] = re.findall(r'<tr id="r\d+"[^>]*data-find="gone.author.*?</tr>', text, re.S)
    assert row.count("not measured") == 5


def test_planned_cells_are_not_shown_as_failed(make_store: MakeStore, add_cell: AddCell, tmp_path: Path) -> None:
    add_bad = {"error": "ValueError: no", "dataset_hash": sha256_bytes(b"A")}
    plan = Planned(
        models={"net": [2], "bad": [2], "late+ps(ratio=1/4,shape=CxC)": [2], "x4": [4]},
        datasets=[PlannedData(name="A", sha256=sha256_bytes(b"A"))],
        protocols=["matlab-y"],
    )
    # The suite's file spells a planned model with fewer arguments, and has one that the run left out.
    store = make_store(planned=plan, definition={"models": ["net", "bad", "late+ps(ratio=1/4)", "more"]})
    add_cell(store, "net", [30.0, 31.0], dataset_hash=sha256_bytes(b"A"))
    add_cell(store, "bad", None, **add_bad)
    results = read_results(store.path)
    assert [(one.cell, one.planned) for one in results.failures] == [
        ("bad", False),
        ("late+ps(ratio=1/4,shape=CxC)", True),
        ("x4", True),
    ]
    assert planned(results.boards[0], results.info).models == ["bad", "late+ps(ratio=1/4,shape=CxC)", "more"]
    build_site(committed(store, tmp_path / "suites"), tmp_path / "site")
    assert "Cells that failed: 1" in (tmp_path / "site" / "index.html").read_text()
    text = page(tmp_path / "site", "boards/*.html")
    failed = text[text.index('<h2 id="failed">') :]
    assert re.findall(r"<li><b>(.*?)</b>", failed[: failed.index("</ul>")]) == ["bad"]
    for model, word in (("bad", "failed"), ("late", "not measured"), ("more", "not measured")):
        [row] = re.findall(rf'<tr id="r\d+"[^>]*data-find="{model}.*?</tr>', text, re.S)
        assert re.findall("failed|not measured", row.partition("data-find")[2].partition(">")[2]) == [word, word], row


def test_cards_name_all_that_share_the_first_place(make_store: MakeStore, add_cell: AddCell, tmp_path: Path) -> None:
    store = make_store()
    for name in ("one", "two", "three"):
        add_cell(store, name, [30.0, 31.0, 32.0, 33.0])
    build_site(committed(store, tmp_path / "suites"), tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text()
    assert "3 tied for first" in index
    card = index[index.index("3 tied for first") :]
    assert all(f"{model_page(name)}" in card[: card.index("</li>")] for name in ("one", "two", "three"))


def test_published_figures_are_beside_measured_ones(make_store: MakeStore, add_cell: AddCell, tmp_path: Path) -> None:
    figure = ReportedFigure(
        paper="P",
        table="Table 1",
        row="Net",
        model="net",
        scale=2,
        dataset="A",
        protocol="Y",
        psnr="30.10",
        ssim="0.9100",
    )
    other = figure.model_copy(update={"scale": 4, "psnr": "12.34"})
    store = make_store(reported=[figure, other])
    add_cell(store, "net", [30.0, 31.0])
    build_site(committed(store, tmp_path / "suites"), tmp_path / "site")
    text = (tmp_path / "site" / model_page("net")).read_text()
    section = text[text.index('id="published"') : text.index('id="network"')]
    assert ">30.10<" in section
    assert ">30.500<" in section
    assert ">+0.400<" in section
    assert "12.34" not in section, "another scale is no counterpart"


def test_a_suite_that_cannot_be_read_is_named_and_the_rest_is_shown(demo: RunStore, tmp_path: Path) -> None:
    root = committed(demo, tmp_path / "suites")
    (root / "empty" / "results").mkdir(parents=True)
    site = build_site(root, tmp_path / "site")
    assert [bool(suite.problem) for suite in site.suites] == [False, True]
    index = (tmp_path / "site" / "index.html").read_text()
    assert "holds no finished results" in index
    assert str(tmp_path) not in index


@pytest.mark.parametrize("place", ["missing", "empty"])
def test_no_results_are_one_sentence_and_nothing_is_written(place: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"folder per suite|one per suite"):
        build_site(tmp_path / place, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_no_site_is_never_replaced(demo: RunStore, tmp_path: Path) -> None:
    root = committed(demo, tmp_path / "suites")
    for name, files in {"other": ["notes.txt"], "half": ["index.html"]}.items():
        for file in files:
            (tmp_path / name).mkdir()
            (tmp_path / name / file).write_text("mine")
        with pytest.raises(StoreError, match="new or empty folder"):
            build_site(root, tmp_path / name)
        assert (tmp_path / name / files[0]).read_text() == "mine"
    build_site(root, tmp_path / "site")
    (tmp_path / "site" / "CNAME").write_text("mine")
    with pytest.raises(StoreError, match="'CNAME'"):
        build_site(root, tmp_path / "site")
    with pytest.raises(StoreError, match="would be replaced"):
        build_site(root, root)


def test_an_error_leaves_the_site_before_and_no_other_file(
    demo: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = committed(demo, tmp_path / "suites")
    build_site(root, tmp_path / "out" / "site")
    before = content(tmp_path / "out")

    def fail(*arguments: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "index_text", fail)
    with pytest.raises(StoreError, match="No space left"):
        build_site(root, tmp_path / "out" / "site")
    assert content(tmp_path / "out") == before


def test_what_a_killed_build_left_is_put_back_or_removed(demo: RunStore, tmp_path: Path) -> None:
    root = committed(demo, tmp_path / "suites")
    build_site(root, tmp_path / "site")
    good = content(tmp_path / "site")
    # Killed between two renames: the old site is aside. No process has this number.
    (tmp_path / "site").rename(tmp_path / ".tmp-site-4194999-old")
    (tmp_path / ".tmp-site-4194998").mkdir()
    # In a container the next process may have the number of the killed one.
    (tmp_path / f".tmp-site-{os.getpid()}" / "boards").mkdir(parents=True)
    build_site(root, tmp_path / "site")
    assert content(tmp_path / "site") == good
    assert not list(tmp_path.glob(".tmp-*"))


def test_tie_groups_begin_where_no_rank_of_the_first_is_open(demo: RunStore, add_cell: AddCell) -> None:
    group = read_results(demo.path).boards[0].groups[0]
    last = 0
    seen = []
    for entry, letter in tie_groups(group):
        if entry.standing is None:
            assert letter == ""
            continue
        if letter not in seen:
            assert entry.standing.best > last
            seen.append(letter)
            last = entry.standing.worst
        assert entry.standing.best <= last
    assert seen == sorted(seen)
    assert [letters(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_a_row_is_replayed_only_if_all_of_its_cells_are() -> None:
    replayed, differs = State("replayed here", "equal, CI"), State("replay differs", "CI")
    states = {"a": replayed, "b": replayed, "c": differs}
    assert state_of_row(["a", "b"], states) == replayed
    assert state_of_row(["a", "z"], states).name == "submitted"
    assert state_of_row(["a", "c", "z"], states) == differs
    assert state_of_row(["z"], {}).name == "submitted"


def test_names_that_differ_have_pages_that_differ(demo: RunStore) -> None:
    names = ["a b", "a-b", "A-b", "a/b", "../a", "a" * 300, "a" * 301, "", "ä", "."]
    pages = [model_page(name) for name in names]
    assert len({text.lower() for text in pages}) == len(names)
    assert all(re.fullmatch(r"models/[A-Za-z0-9._-]+\.html", text) for text in pages)
    assert all(len(Path(text).name) < 120 for text in pages)
    board = read_results(demo.path).boards[0]
    assert board_place("x y", "t", board).name != board_place("x-y", "t", board).name


@pytest.mark.parametrize("count", [12, 30, 400])
def test_labels_never_cover_each_other_and_the_most_telling_come_first(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = [(float(x), float(y)) for x, y in rng.uniform([60, 20], [700, 380], (count, 2))]
    names = [f"model{index}" for index in range(count)]
    order = [int(index) for index in rng.permutation(count)]
    frame = (50.0, 10.0, 720.0, 400.0)
    labels = place_labels(names, places, [], frame, order)
    assert labels == place_labels(names, places, [], frame, order)
    boxes = []
    for name, label in zip(names, labels, strict=True):
        if label is not None:
            width = 6.7 * len(name)
            left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
            boxes.append((left, label.y - 10.5, left + width, label.y + 3.5))
    assert all(overlap(a, b) <= 4.0 for index, a in enumerate(boxes) for b in boxes[index + 1 :])
    assert labels[order[0]] is not None
    if count > 30:
        assert {index for index in range(count) if labels[index] is not None} <= set(order[:LABELLED])
