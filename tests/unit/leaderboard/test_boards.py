from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from srbench.errors import StoreError
from srbench.leaderboard import build, ranking
from srbench.leaderboard.boards import Entry, Results, read_results, summary
from srbench.leaderboard.short_names import short_names
from srbench.results.origins import Planned
from srbench.results.records import Record, RunInfo, Training
from srbench.results.store import RunStore

AddCell = Callable[..., Path]
MakeStore = Callable[..., RunStore]


def by_model(results: Results) -> dict[str, Entry]:
    [board] = results.boards
    return {entry.record.model: entry for entry in board.entries}


class TestAggregation:
    def test_hand_computed_ranking(self, demo: RunStore) -> None:
        table = ranking(demo.path).set_index("model")
        # The base's mean is 27.25; b's wobble has mean 0 and it is 0.0625 below a; c has no wobble on average either.
        assert table["mean"].to_dict() == {"net+a": 28.25, "net+b": 28.1875, "net+c": 27.25, "bicubic": 25.25}
        assert table["to_best"].drop("bicubic").to_dict() == {"net+a": 0, "net+b": -0.0625, "net+c": -1}
        assert table["rank"].drop("bicubic").to_dict() == {"net+a": 1, "net+b": 2, "net+c": 3}
        best, worst = table["rank_best"].drop("bicubic"), table["rank_worst"].drop("bicubic")
        assert list(zip(best, worst, strict=True)) == [(1, 2), (1, 2), (3, 3)]
        assert table["over_baseline"].to_dict() == {"net+a": 3, "net+b": 2.9375, "net+c": 2, "bicubic": 0}
        assert list(table.index) == ["net+a", "net+b", "net+c", "bicubic"]

    def test_resolution_is_over_the_pairs_of_the_tier(self, demo: RunStore) -> None:
        [group] = read_results(demo.path).boards[0].groups
        [one] = group.resolutions
        # a and c differ by almost the same on every image, b from both by its wobble; bicubic is not of the tier.
        assert 0 < one.least < 0.1
        assert 0.2 < one.median <= one.largest < 0.7

    def test_the_entries_that_may_be_the_best(self, demo: RunStore) -> None:
        [group] = read_results(demo.path).boards[0].groups
        assert [entry.record.model for entry in group.top] == ["net+a", "net+b"]

    def test_model_without_parameters_is_shown_but_not_ranked(self, demo: RunStore) -> None:
        results = read_results(demo.path)
        assert [entry.record.model for entry in results.boards[0].baselines] == ["bicubic"]
        assert by_model(results)["bicubic"].rank is None
        assert [group.tier for group in results.boards[0].groups] == ["trained"]

    def test_tiers_are_ranked_apart(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+z.author", [99.0] * 8, tier="reproduced")
        results = read_results(demo.path)
        assert [(group.tier, len(group.entries)) for group in results.boards[0].groups] == [
            ("trained", 3),
            ("reproduced", 1),
        ]
        assert by_model(results)["net+a"].rank == 1
        assert by_model(results)["net+z.author"].rank == 1

    def test_protocols_and_scales_are_boards_of_their_own(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+a", [1.0, 2.0], protocol="truncate-y", protocol_digest="0" * 64)
        add_cell(demo, "net+a", [1.0, 2.0], scale=4)
        boards = read_results(demo.path).boards
        assert [(board.scale, board.protocol) for board in boards] == [
            (2, "matlab-y"),
            (2, "truncate-y"),
            (4, "matlab-y"),
        ]

    def test_mean_over_data_sets_ranks_and_a_missing_one_unranks(
        self, make_store: MakeStore, add_cell: AddCell
    ) -> None:
        store = make_store()
        for model, first, second in (("n+a", 30.0, 20.0), ("n+b", 28.0, 26.0), ("n+c", 50.0, None)):
            add_cell(store, model, [first] * 4)
            if second is not None:
                add_cell(store, model, [second] * 20, dataset="B", dataset_hash="b" * 64)
        entries = by_model(read_results(store.path))
        assert (entries["n+b"].overall, entries["n+b"].rank) == (27.0, 1)
        assert (entries["n+a"].overall, entries["n+a"].rank) == (25.0, 2)
        assert entries["n+c"].rank is None
        assert math.isnan(entries["n+c"].overall)

    def test_same_name_with_other_pixels_is_another_data_set(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+d", [1.0, 2.0], dataset_hash="f" * 64)
        board = read_results(demo.path).boards[0]
        assert len(board.datasets) == 2
        assert board.datasets[1].label == "A [ffffff]"

    def test_model_measured_on_fewer_images_is_not_ranked(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+short", [90.0, 90.0])
        entries = by_model(read_results(demo.path))
        assert entries["net+short"].rank is None
        assert entries["net+a"].rank == 1

    def test_infinite_psnr_is_not_ranked_and_breaks_nothing(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+copy", [math.inf] * 8)
        entries = by_model(read_results(demo.path))
        assert entries["net+copy"].rank is None
        assert entries["net+a"].rank == 1

    def test_reported_figures_without_images_are_shown_unranked(self, make_store: MakeStore) -> None:
        store = make_store()
        store.write(
            Record(
                key="k" * 64,
                status="ok",
                model="paper",
                backbone="paper",
                scale=2,
                dataset="A",
                dataset_hash="0",
                images=5,
                protocol="matlab-y",
                protocol_digest="0" * 64,
                tier="reported",
                metrics={"psnr_y": 31.7},
                params_unique=5,
                created="2024-01-01T00:00:00+00:00",
            )
        )
        entry = by_model(read_results(store.path))["paper"]
        assert (entry.overall, entry.rank) == (31.7, None)

    def test_seeds_are_averaged_image_by_image(self, make_store: MakeStore, add_cell: AddCell) -> None:
        store = make_store()
        record_dir = add_cell(store, "net", [0.0, 0.0])
        record = Record.model_validate_json((record_dir / "record.json").read_text())
        training = Training(recipe={}, iterations=10, seeds=[1, 2], data="T", data_hash="t", seconds=1.0)
        table = pd.DataFrame(
            {"image": ["p", "q", "p", "q"], "seed": [1, 1, 2, 2], "psnr_y": [10.0, 20, 14, 24], "ssim_y": 0.5}
        )
        store.write(record.model_copy(update={"training": training, "metrics": {"psnr_y": 17.0, "ssim_y": 0.5}}), table)
        entry = by_model(read_results(store.path))["net"]
        values = entry.images["A"]
        assert dict(zip(values.names, values["psnr_y"].tolist(), strict=True)) == {"p": 12.0, "q": 22.0}
        # Means 15 and 19 of the two trainings: their standard deviation is 4 / sqrt(2).
        assert entry.values["A", "psnr_y"].spread == pytest.approx(4 / np.sqrt(2))
        assert entry.seeds == [1, 2]

    def test_skipped_checks_are_not_counted(self, make_store: MakeStore, add_cell: AddCell) -> None:
        store = make_store()
        add_cell(store, "net", [1.0, 2.0], checks={"a": "passed", "b": "skipped: no", "c": "failed: it is off"})
        assert by_model(read_results(store.path))["net"].checks == (1, 2)


class TestFailures:
    def test_failed_cell_is_listed_with_its_reason(self, demo: RunStore, add_cell: AddCell) -> None:
        error = 'Traceback (most recent call last):\n  File "x.py", line 3, in f\nValueError: no such thing\nmore\n'
        add_cell(demo, "net+bad", None, error=error)
        results = read_results(demo.path)
        assert [(failure.cell, failure.reason) for failure in results.failures] == [
            ("net+bad", "ValueError: no such thing")
        ]
        assert "net+bad" not in by_model(results)

    def test_damaged_cell_is_listed_and_the_others_stay(self, demo: RunStore) -> None:
        directory = next(cell.directory for cell in demo.cells() if cell.record.model == "net+c")
        (directory / "per_image.parquet").write_bytes(b"PAR1 no")
        results = read_results(demo.path)
        assert [failure.cell for failure in results.failures] == [directory.name]
        assert set(by_model(results)) == {"net+a", "net+b", "bicubic"}

    def test_only_failures_still_make_a_result(self, make_store: MakeStore, add_cell: AddCell) -> None:
        store = make_store()
        add_cell(store, "net", None, error="RuntimeError: out of memory")
        results = read_results(store.path)
        assert (results.boards, results.failures[0].reason) == ([], "RuntimeError: out of memory")

    def test_no_run_is_a_sentence(self, tmp_path: Path, make_store: MakeStore) -> None:
        with pytest.raises(StoreError, match="there is no run in"):
            read_results(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(StoreError, match="holds no finished results"):
            read_results(tmp_path / "empty")
        with pytest.raises(StoreError, match="holds no finished results"):
            read_results(make_store().path)

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (None, "no reason was recorded"),
            ("", "no reason was recorded"),
            ("just a sentence\nand more", "just a sentence"),
            (
                'Traceback (most recent call last):\n  File "a"\n    x: y\nValueError: two\nlines',
                "ValueError: two",
            ),
            ("Traceback (most recent call last):\n  a\nKeyboardInterrupt", "KeyboardInterrupt"),
            ("Traceback (most recent call last):\n  a\nsrbench.errors.DataError: 'x' is odd.", "'x' is odd."),
        ],
    )
    def test_summary_is_the_line_that_says_what_happened(self, error: str | None, line: str) -> None:
        assert summary(error) == line


class TestShortNames:
    @staticmethod
    def record(model: str, args: dict[str, str], method: str | None = "ps", tag: str | None = None) -> Record:
        return Record(
            key="k" * 64, status="ok", model=model, backbone="net", method=method, args=args, tag=tag, scale=2,
            dataset="A", dataset_hash="", protocol="p", protocol_digest="", tier="trained", created="2024",
        )  # fmt: skip

    @staticmethod
    def info(*written: str, planned: tuple[str, ...]) -> RunInfo:
        models = Planned(models={model: [2] for model in planned}, datasets=[], protocols=[])
        definition = {"models": [{"model": text} for text in written]}
        return RunInfo(suite="s", srbench="0", created="2024", definition=definition, planned=models)

    def test_defaults_that_all_share_are_left_out(self) -> None:
        records = [
            self.record("net+ps(init=he,ratio=1/2)", {"init": "he", "ratio": "1/2"}),
            self.record("net+ps(init=he,ratio=1/4)", {"init": "he", "ratio": "1/4"}),
            self.record("net", {}, method=None),
            self.record("net+ps(init=he,ratio=1/9).author", {"init": "he", "ratio": "1/9"}, tag="author"),
        ]
        planned = tuple(record.model for record in records)
        # The second entry names no `init`, so that its value is the default.
        info = self.info("net+ps(init=he, ratio=1/2)", "net+ps(ratio=1/4)", "net", "net+ps.author", planned=planned)
        short = short_names(records, info)
        assert [short[record.model] for record in records] == [
            "net+ps(ratio=1/2)",
            "net+ps(ratio=1/4)",
            "net",
            "net+ps(ratio=1/9).author",
        ]

    @pytest.mark.parametrize(
        ("written", "planned"),
        [
            (["net+lowrank(rank=0)"], ["net+lowrank(rank=0)"]),  # named, so perhaps no default
            (["net+lowrank", "net+lowrank(rank=0)"], ["net+lowrank(rank=0)"]),  # --models left the default out
            (["net+lowrank", "net+lowrank(rank=0)"], ["net+lowrank(rank=4)", "net+lowrank(rank=0)"]),  # it failed
            (["d:net+lowrank"], ["net+lowrank(rank=0)"]),
            ([], []),
        ],
    )
    def test_a_value_that_is_no_known_default_is_printed(self, written: list[str], planned: list[str]) -> None:
        records = [self.record("net+lowrank(rank=0)", {"rank": "0"}, method="lowrank")]
        info = self.info(*written, planned=tuple(planned))
        assert short_names(records, info) == {"net+lowrank(rank=0)": "net+lowrank(rank=0)"}
        assert short_names(records) == {"net+lowrank(rank=0)": "net+lowrank(rank=0)"}

    def test_names_that_would_collide_stay_whole(self) -> None:
        records = [self.record("net+ps(a)", {}), self.record("net+ps(b)", {})]
        assert short_names(records) == {"net+ps(a)": "net+ps(a)", "net+ps(b)": "net+ps(b)"}


def test_data_sets_stand_in_the_suites_order_and_others_after_them(make_store: MakeStore, add_cell: AddCell) -> None:
    store = make_store(definition={"datasets": ["some/where/Set5", "lists/Set14.txt"]})
    for name in ("Another", "Set14", "Set5"):
        add_cell(store, "net", [30.0, 31.0], dataset=name, dataset_hash=f"{name:0<64}")
    [board] = read_results(store.path).boards
    assert [dataset.name for dataset in board.datasets] == ["Set5", "Set14", "Another"]
    table = build(store.path, store.path / "out")
    markdown = next(path for path in table if path.suffix == ".md").read_text(encoding="utf-8")
    assert markdown.index("PSNR Set5") < markdown.index("PSNR Set14") < markdown.index("PSNR Another")


def test_figures_of_two_files_with_weights_are_never_in_one_row(make_store: MakeStore, add_cell: AddCell) -> None:
    store = make_store()
    given = {"tier": "reproduced", "training": None, "dataset_hash": "a" * 64}
    old, new = "1" * 64, "2" * 64
    for dataset in ("A", "B"):
        add_cell(
            store, "net", [30.0, 31.0], dataset=dataset, weights_sha256=old, key=f"{dataset:0<64}".lower(), **given
        )
    later = "2025-01-01T00:00:00+00:00"
    add_cell(store, "net", [20.0, 21.0], dataset="C", weights_sha256=new, created=later, key="c" * 64, **given)
    results = read_results(store.path)
    [entry] = [entry for board in results.boards for entry in board.entries]
    assert set(entry.records) == {"C"}
    assert entry.record.weights_sha256 == new
    assert len(results.failures) == 2
    assert "other weights than the latest, SHA-256 11111111; run the suite again" in results.failures[0].reason


def test_planned_cells_without_a_result_are_shown_as_not_measured(demo: RunStore) -> None:
    from srbench.leaderboard.tables import figures, markdown_text
    from srbench.results.origins import PlannedData

    [cell] = [cell for cell in demo.cells() if cell.record.model == "net+a"]
    info = demo.info()
    assert info is not None
    planned = Planned(
        models={"net+a": [2], "net+late": [2]},
        datasets=[PlannedData(name="A", sha256=cell.record.dataset_hash)],
        protocols=["matlab-y"],
    )
    demo.begin(info.model_copy(update={"planned": planned}))
    results = read_results(demo.path)
    assert [(one.cell, one.planned) for one in results.failures] == [("net+late", True)]
    table = figures(results)
    assert list(table[table.status == "not measured"].model) == ["net+late"]
    assert "net+late on A (x2, matlab-y): planned, and not measured yet" in markdown_text(results)


@pytest.mark.parametrize(("protocol", "first"), [("matlab-y", "psnr_y"), ("ntire", "psnr_rgb")])
def test_primary_metric_of_the_protocol_decides_the_ranks_also_of_earlier_records(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path], protocol: str, first: str
) -> None:
    store = make_store()
    add_cell(store, "a", [30.0, 31.0], protocol=protocol, metrics={"psnr_y": 30.5, "psnr_rgb": 28.5})
    records = [cell.record for cell in store.cells()]
    from srbench.leaderboard.short_names import in_order

    assert in_order(records[0].metrics, records)[0] == first
    named = [record.model_copy(update={"primary_metric": "psnr_rgb"}) for record in records]
    assert in_order(named[0].metrics, named)[0] == "psnr_rgb"


def test_a_model_that_was_added_to_the_suite_is_marked(demo: RunStore, tmp_path: Path) -> None:
    from srbench.leaderboard.tables import figures, markdown_text

    info = demo.info()
    assert info is not None
    assert "added" not in figures(read_results(demo.path))
    planned = Planned(models={"net+a": [2], "net+b": [2]}, datasets=[], protocols=[], added=["net+b"])
    demo.begin(info.model_copy(update={"planned": planned}))
    results = read_results(demo.path)
    assert {model for model, entry in by_model(results).items() if entry.added} == {"net+b"}
    table = figures(results)
    assert set(table[table.added == True].model) == {"net+b"}  # noqa: E712 - missing elsewhere
    assert "| net+b (added) |" in markdown_text(results)
    build(demo.path, tmp_path / "board")
    page = (tmp_path / "board" / "index.html").read_text(encoding="utf-8")
    assert page.count("added: not in the suite itself") == 1
