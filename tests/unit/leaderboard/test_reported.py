"""Papers' figures on leaderboards: shown as printed, apart from what was measured, and never ranked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from srbench.leaderboard import ranking
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.page import html_text
from srbench.leaderboard.tables import csv_text, figures, markdown_text
from srbench.results.records import RunInfo
from srbench.results.reported import read_reported
from srbench.results.store import RunStore


def with_reported(store: RunStore) -> RunStore:
    known = store.info()
    assert isinstance(known, RunInfo)
    store.begin(known.model_copy(update={"reported": read_reported("ps-supplement-table1", "*+dsconv*")}))
    return store


def test_reported_figures_change_nothing_that_was_measured(demo: RunStore) -> None:
    before, measured = ranking(demo.path), figures(read_results(demo.path))
    with_reported(demo)
    pd.testing.assert_frame_equal(ranking(demo.path), before)
    after = figures(read_results(demo.path))
    assert after.iloc[: len(measured)][measured.columns].to_csv() == measured.to_csv()


def test_reported_figures_have_a_tier_of_their_own_and_no_rank(demo: RunStore) -> None:
    table = figures(read_results(with_reported(demo).path))
    rows = table[table.tier == "reported"]
    assert len(rows) == 16
    assert rows["rank"].isna().all()
    assert rows["params_unique"].isna().all()
    assert not {"trained", "reproduced"} & set(rows.tier)
    assert set(table[table.tier == "trained"].model) == {"net+a", "net+b", "net+c"}
    row = rows[(rows.model == "edsr_baseline+dsconv(blocks=12)") & (rows.dataset == "Set14")].iloc[0]
    assert (row.reported_psnr, row.reported_ssim, row.reported_params) == (33.27, 0.9605, "0.60M")
    # The largest value of a column is never a paper's.
    assert np.isnan([row.psnr_y, row.ssim_y, row.psnr_y_low]).all()
    assert "misprint" in row.reported_note
    assert csv_text(read_results(demo.path)).count("Table 1") == 16


def test_page_and_markdown_show_them_as_printed_after_the_boards(demo: RunStore) -> None:
    results = read_results(with_reported(demo).path)
    page, text = html_text(results), markdown_text(results)
    section = page[page.index('id="reported-x2"') :]
    assert page.index('id="x2-matlab-y') < page.index('<section class="board" id="reported-x2"')
    for printed in ("33.40", "0.9605", "0.60M", "D.S.Conv-12", "misprint", "WACV 2025, supplement, Table 1; protocol:"):
        assert printed in section
        assert printed in text[text.index("## x2: reported in papers") :]
    assert "33.40" not in page[: page.index('id="reported-x2"')]
    assert re.search(r'href="#reported-x2"', page)


def test_a_run_without_reported_figures_has_no_such_section(demo: RunStore) -> None:
    results = read_results(demo.path)
    assert "reported-x" not in html_text(results)
    assert "reported in papers" not in markdown_text(results)
    assert "reported_as" not in csv_text(results)


def test_what_a_paper_prints_cannot_break_the_page(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path]
) -> None:
    wild = read_reported("ps-supplement-table1")[0].model_copy(update={"row": "<script>|", "note": "a|b</td>"})
    store = make_store(reported=[wild])
    add_cell(store, "net+a", [30.0, 31.0])
    results = read_results(store.path)
    assert "<script>|" not in html_text(results)
    assert "&lt;script&gt;" in html_text(results)
    line = next(line for line in markdown_text(results).splitlines() if "script" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 7
