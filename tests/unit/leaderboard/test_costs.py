"""Leaderboards show what models cost, if their records say it; pages of older results have no column for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from srbench.leaderboard import build, ranking, show
from srbench.leaderboard.costs import in_units
from srbench.results.cost_figures import CostFigures, joined_cost
from srbench.results.store import RunStore

DENSE = CostFigures(macs=222_831_000_000, synthesis=71_700_000, activations=5, macs_256=7, activations_256=8)
SPARSE = CostFigures(macs=223_814_000_000, macs_executed=111_800_000_000, synthesis=0, activations=6)


def pages(store: RunStore) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in build(store.path, store.path / "out")}


def test_older_results_have_no_column_for_it(demo: RunStore) -> None:
    found = pages(demo)
    assert not any("macs" in text.lower() for text in found.values())
    assert ranking(demo.path)["macs"].isna().all()


def test_macs_stand_beside_parameters(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    add_cell(demo, "net+masked", [20.0, 24, 28, 32, 36, 30, 26, 22], cost=SPARSE)
    add_cell(demo, "net+kernels", [20.0, 24, 28, 32, 36, 30, 26, 22], cost=DENSE)
    refused = CostFigures(not_counted="it computes outside torch")
    add_cell(demo, "nearest", [19.0, 24, 28, 32, 36, 30, 26, 22], params_unique=0, tier="reproduced", cost=refused)
    found = pages(demo)
    assert "| Parameters (deployed) | MACs | PSNR A |" in found["leaderboard.md"]
    assert "| 223.8 G; 111.8 G executed |" in found["leaderboard.md"]
    assert "| 222.8 G; + 71.7 M for kernels |" in found["leaderboard.md"]
    assert 'title="it computes outside torch"' in found["index.html"]
    assert "111.8 G executed" in found["index.html"]
    header, *rows = found["leaderboard.csv"].splitlines()
    assert "macs_1280x720,macs_executed,macs_synthesis,activations_1280x720,macs_256x256" in header
    assert any("222831000000,,71700000,5,7,8" in row for row in rows)
    table = ranking(demo.path).set_index("model")
    assert table.loc["net+masked", "macs_executed"] == 111_800_000_000


def test_the_terminal_shows_kernels_beside_what_is_executed(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    both = SPARSE.model_copy(update={"synthesis": 71_700_000})
    add_cell(demo, "net+both", [20.0, 24, 28, 32, 36, 30, 26, 22], cost=both)
    stream = io.StringIO()
    show(demo.path, Console(file=stream, width=160))
    assert "111.8 G executed" in stream.getvalue()
    assert "+ 71.7 M for kernels" in stream.getvalue()


def test_the_table_has_as_many_headings_as_cells(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    add_cell(demo, "net+kernels", [20.0, 24, 28, 32, 36, 30, 26, 22], cost=DENSE)
    lines = [line for line in pages(demo)["leaderboard.md"].splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    page = pages(demo)["index.html"]
    row = page.partition('<tr class="first">')[2].partition("</tr>")[0]
    columns = {int(text.partition('"')[0]) for text in page.split('data-column="')[1:]}
    assert columns == set(range(row.count("<td") + row.count("<th")))
    assert f'colspan="{len(columns)}"' in page


def test_seeds_share_a_cost_and_average_what_their_masks_leave() -> None:
    other = SPARSE.model_copy(update={"macs_executed": 111_000_000_000})
    joined = joined_cost([SPARSE, other, None])
    assert joined is not None
    assert (joined.macs, joined.macs_executed) == (SPARSE.macs, 111_400_000_000)
    assert joined_cost([DENSE, DENSE]) == DENSE
    assert joined_cost([None]) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (2_448_258_048_000, "2,448 G"),
        (222_831_000_000, "222.8 G"),
        (32_490_000_000, "32.5 G"),
        (2_872_000_000, "2.87 G"),
        (47_775_744, "47.8 M"),
        (262_144, "0.26 M"),
        (640, "640"),
        (0, "0"),
    ],
)
def test_counts_in_units(count: int, text: str) -> None:
    assert in_units(count) == text
