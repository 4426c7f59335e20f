"""Published figures and training sets on boards, in tables and on the site."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from srbench.errors import ConfigError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.page import html_text
from srbench.leaderboard.site import build_site
from srbench.leaderboard.tables import csv_text, markdown_text
from srbench.results.published_figures import Difference, Published, PublishedFigure, TrainingFacts, differences
from srbench.results.records import Training
from srbench.results.reported import parse_rows
from srbench.results.store import RunStore

BASE = np.array([20.0, 24, 28, 32, 36, 30, 26, 22])


def figure(model: str, psnr: str, **changes: object) -> PublishedFigure:
    fields: dict[str, object] = {
        "paper": "A et al.", "table": "Table 1", "row": model, "model": model, "scale": 2, "dataset": "A",
        "protocol": "luma", "psnr": psnr, "ssim": "0.9000",
    }  # fmt: skip
    return PublishedFigure.model_validate(fields | changes)


PUBLISHED = Published(
    figures=(
        figure("good.author", "27.25"),
        figure("cut.author", "26.00", cause="HR images cut to multiples of 12"),
        figure("set.author", "26.00", cause="cut to 12", settings="hr_crop=12, lr_rounding=once"),
        figure("odd.author", "20.00"),
        figure("other.author", "25.00", like="truncate-y"),
        figure("colors.author", "25.00", colors="rgb", like="ntire"),
        figure("elsewhere.author", "25.00", dataset="B"),
    ),
    trainings=(
        TrainingFacts(model="good.author", data="DF2K", iterations="1000000", batch="32", patch="HR 192", source="R"),
        TrainingFacts(model="cut.author", scales="3 4", data="DIV2K", source="README"),
    ),
)  # fmt: skip


@pytest.fixture
def store(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> RunStore:
    """Return a run of authors' weights with a mean of 27.25 dB each, one training, and bicubic."""
    run = make_store()
    for model in ("good", "cut", "odd", "other", "colors", "elsewhere"):
        add_cell(run, f"{model}.author", list(BASE), tier="reproduced", backbone=model, tag="author")
    training = Training(
        recipe={"batch_size": 8, "gt_size": 64}, iterations=2000, seeds=[0], data="bsds400", data_hash="0", seconds=1.0
    )
    add_cell(run, "mine", list(BASE - 1), training=training)
    add_cell(run, "bicubic", list(BASE - 2), params_unique=0, tier="reproduced", checks={})
    return run


def test_a_difference_is_small_or_has_a_cause_or_is_called_unexplained() -> None:
    def verdict(model: str, measured: float, protocol: str = "matlab-y") -> list[str]:
        figures = PUBLISHED.figures_of(model, 2)
        return [one.verdict for one in differences(figures, "A", protocol, {"psnr_y": measured, "ssim_y": 0.9})]

    assert verdict("good.author", 27.26) == ["agrees", "agrees"], "0.01 dB is the last printed digit"
    assert verdict("good.author", 27.2601) == ["unexplained", "agrees"]
    assert verdict("cut.author", 27.25) == ["HR images cut to multiples of 12", "agrees"]
    assert verdict("set.author", 27.25)[0] == 'cut to 12 (srbench diagnose --with "hr_crop=12, lr_rounding=once")'
    assert verdict("set.author", 26.00)[0] == "agrees"
    assert verdict("other.author", 27.25)[0] == "another protocol: the published figure is most like truncate-y"
    assert verdict("other.author", 27.25, "truncate-y+tile=64")[0] == "unexplained"
    assert differences(PUBLISHED.figures_of("colors.author", 2), "A", "ntire", {"psnr_y": 25.0}) == []
    (only,) = differences(PUBLISHED.figures_of("colors.author", 2), "A", "ntire", {"psnr_rgb": 25.5})
    assert only.value == 0.5
    assert only.silent


def test_a_listed_unexplained_difference_is_not_silent() -> None:
    listed = figure("odd.author", "20.00", cause="unexplained: tried all")
    assert not Difference(listed, "psnr", "20.00", "matlab-y", 27.25).silent


def test_csv_has_published_figures_and_training_in_columns_of_their_own(store: RunStore) -> None:
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(csv_text(read_results(store.path, PUBLISHED))))}
    good, cut, mine = rows["good.author"], rows["cut.author"], rows["mine"]
    assert (good["published_psnr"], good["psnr_minus_published"], good["published_agrees"]) == ("27.25", "0", "agrees")
    assert (good["trained_on"], good["trained_iterations"], good["trained_batch"]) == ("DF2K", "1000000", "32")
    assert (cut["psnr_minus_published"], cut["published_agrees"]) == ("1.25", "HR images cut to multiples of 12")
    assert cut["trained_on"] == "not known here", "the recipe is of other scales"
    assert (mine["trained_on"], mine["trained_iterations"], mine["trained_batch"]) == ("bsds400", "2000", "8")
    assert (mine["trained_patch"], mine["trained_source"], mine["published_psnr"]) == ("HR 64", "trained here", "")
    assert rows["bicubic"]["trained_on"] == ""
    assert rows["colors.author"]["published_psnr"] == "", "a figure of RGB on a board of luma"
    assert rows["elsewhere.author"]["published_psnr"] == ""
    assert rows["odd.author"]["published_agrees"] == "unexplained"


def test_nothing_is_published_where_nothing_is_given(store: RunStore) -> None:
    header = csv_text(read_results(store.path)).partition("\n")[0]
    assert "published" not in header
    assert "details" not in re.findall(r'<details class="published">', html_text(read_results(store.path)))


def test_markdown_and_page_list_each_difference_with_its_cause(store: RunStore) -> None:
    results = read_results(store.path, PUBLISHED)
    text = markdown_text(results)
    assert "| cut.author | A | PSNR | 26.00 | 27.250 | +1.250 | HR images cut to multiples of 12 |" in text
    assert "DF2K, 1M iterations |" in text
    page = html_text(results)
    details = page[page.index('<details class="published">') :]
    assert "8 figures, 5 agree" in details, "four models with PSNR and SSIM; three of the eight differ"
    assert "HR images cut to multiples of 12" in details
    assert page.count('data-name="training set"') == 1


def test_the_site_has_columns_that_are_not_shown_from_the_start(store: RunStore, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "suites" / "demo" / "results")
    build_site(tmp_path / "suites", tmp_path / "site", published=PUBLISHED)
    (board,) = (tmp_path / "site" / "boards").glob("*.html")
    text = board.read_text()
    boxes = re.findall(r'<label><input type="checkbox"([^>]*)> ([^<]*)</label>', text)
    shown = {name: "checked" in attributes for attributes, name in boxes}
    assert shown["training set"]
    assert not shown["published PSNR on A"]
    assert not shown["difference to the published PSNR on A"]
    assert "HR images cut to multiples of 12" in text
    (model,) = (tmp_path / "site" / "models").glob("good.author*.html")
    text = model.read_text()
    assert "Published and measured" in text
    assert re.search(r">27\.25<.*>27\.250<.*>0\.000<.*agrees", text)
    assert "<td>DF2K</td>" in text
    assert "1,000,000" in text
    (odd,) = (tmp_path / "site" / "models").glob("odd.author*.html")
    assert "unexplained" in odd.read_text()


def test_the_same_results_and_figures_give_the_same_page(store: RunStore) -> None:
    assert html_text(read_results(store.path, PUBLISHED)) == html_text(read_results(store.path, PUBLISHED))


def test_a_wrong_table_is_refused_by_file_and_line() -> None:
    lines = ["paper,table,row,model,scale,dataset,protocol,psnr", "P,T,R,net.author,two,Set5,luma,30.00"]
    with pytest.raises(ConfigError, match=r"published.csv, line 2: column 'scale' holds 'two'"):
        parse_rows(PublishedFigure, lines, "pkg/published.csv")
    with pytest.raises(ConfigError, match="unknown column 'iteration'"):
        parse_rows(TrainingFacts, ["model,data,iteration,source", "a.b,c,1,d"], "training.csv")
