"""The packaged tables of papers' figures: they can be read, and they are what the papers print."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from srbench.errors import ConfigError, UnknownNameError
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.registry import canonical_name, list_datasets
from srbench.results.reported import read_reported
from srbench.suite.definition import load_suite

# Table -> rows in the paper, figures in the file.
SIZES = {
    "ps-supplement-table1": (33, 132),
    "ps-supplement-table2": (6, 18),
    "cms-lapsrn-table1": (7, 7),
    "cms-lapsrn-table2": (6, 90),
    "smsr-supplement-table1": (3, 6),
    "smsr-supplement-table2": (12, 48),
}


def test_the_tables_are_these_and_have_as_many_rows_as_in_the_papers() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        read_reported("none")
    assert str(unknown.value).endswith(f"installed: {', '.join(sorted(SIZES))}")
    for name, (rows, figures) in SIZES.items():
        table = read_reported(name)
        assert (len({(item.row, item.setting) for item in table}), len(table)) == (rows, figures), name


@pytest.mark.parametrize("name", SIZES)
def test_no_figure_is_given_twice_and_all_are_plausible(name: str) -> None:
    table = read_reported(name)
    cells = Counter((item.row, item.setting, item.params, item.scale, item.dataset) for item in table)
    assert max(cells.values()) == 1
    for item in table:
        assert not item.psnr or 18 < item.value("psnr") < 40
        assert not item.ssim or 0.5 < item.value("ssim") < 0.98
        assert item.psnr or item.params


@pytest.mark.parametrize("name", SIZES)
def test_models_are_canonical_names_and_data_sets_are_known(name: str) -> None:
    # Manga109 is in a paper and not (yet) a data set here.
    known = {*list_datasets(), "Manga109", ""}
    for item in read_reported(name):
        assert item.dataset in known
        if item.model and not item.model.endswith(".author"):
            assert str(canonical_name(item.model)) == item.model


def test_printed_sizes_of_table_1_are_those_of_the_models() -> None:
    for item in read_reported("ps-supplement-table1"):
        if item.dataset != "Set5":
            continue
        count = count_parameters(create_model(item.model, scale=2))
        # Rounded to thousands first, then to 0.01 M, halves up (FACTS).
        assert f"{((count + 500) // 1000 + 5) // 10 / 100:.2f}M" == item.params, item.label


def _lines(text: str, start: str, end: str) -> list[list[str]]:
    """Return the cells of the lines between two marks of a paper's text."""
    part = text[text.index(start) : text.index(end)]
    return [[cell.strip() for cell in line.split("\t")] for line in part.splitlines()[1:] if "\t" in line]


def test_table_1_of_the_ps_supplement_is_as_printed(shared: Path) -> None:
    lines = _lines((shared / "papers/ps-supplement.md").read_text(), "Methods\t$N_p", "Table 1. Experimental")
    printed = [(ratio, params, *values) for _, ratio, params, *values in lines]
    table = read_reported("ps-supplement-table1")
    ours = [
        (
            table[index].setting.removeprefix("N_p/N_total ") or "-",
            table[index].params,
            *(f"{item.psnr}/{item.ssim}" for item in table[index : index + 4]),
        )
        for index in range(0, len(table), 4)
    ]
    assert ours == printed
    labelled = {cells[0].replace(" [3]", "") for cells in lines} - {""}
    plain = {label for label in labelled if "$" not in label and "04" not in label}
    assert plain <= {item.row for item in table}


def test_table_2_of_the_ps_supplement_is_as_printed(shared: Path) -> None:
    lines = _lines((shared / "papers/ps-supplement.md").read_text(), "Coeff.\tTask", "Table 2. The experimental")[1:]
    table = read_reported("ps-supplement-table2")
    for row, column in (("DRRN-PS", 2), ("CARN-PS", 3)):
        printed = [cells[column] for cells in lines]
        ours = [item for item in table if item.row == row]
        assert [f"{item.psnr}/{item.note.removeprefix('ΔPSNR printed as ')}" for item in ours] == printed
        assert [item.scale for item in ours] == [2, 3, 4] * 3
        assert [item.setting[-1] for item in ours] == list("222333444")


def test_table_2_of_the_cms_paper_is_as_printed(shared: Path) -> None:
    text = (shared / "papers/cms-lapsrn.md").read_text()
    part = text[text.index("Model\tScale\tSet5") : text.index("Table 2: Quantitative")]
    lines = [line for line in part.splitlines() if re.match(r"Bicubic|(CMS-|MS-)?LapSRN", line)]
    table = read_reported("cms-lapsrn-table2")
    for index, line in enumerate(lines):
        figures = table[5 * index : 5 * index + 5]
        assert {item.row for item in figures} == {line.split("\t")[0].strip()}
        assert {item.scale for item in figures} == {(2, 4, 8)[index // 6]}
        values = [(psnr, ssim) for psnr, ssim in re.findall(r"(\d+\.\d+) ?/ ?(\d\.\d+)", line)]
        assert [(item.psnr, item.ssim) for item in figures] == values
    assert len(lines) == 18


def test_tables_of_the_smsr_supplement_are_as_printed(shared: Path) -> None:
    text = (shared / "papers/smsr-supplement.md").read_text()
    lines = _lines(text, "Model\tMethod", "Table II: PSNR")
    table = read_reported("smsr-supplement-table2")
    ours = [
        [table[index].params, table[index].flops, *(item.psnr for item in table[index : index + 4])]
        for index in range(0, 48, 4)
    ]
    assert ours == [[cells[2], cells[3].partition("(")[0].strip(), *cells[4:]] for cells in lines]
    first = [line.split("\t") for line in text.splitlines() if line.startswith("SMSR\t")]
    printed = [(c[2], *c[a : a + 3]) for c in first for a in (3, 6)]
    small = read_reported("smsr-supplement-table1")
    assert [(item.params, item.note.split()[-1], item.psnr, item.ssim) for item in small] == printed


def test_sizes_of_the_cms_paper_are_as_printed(shared: Path) -> None:
    text = (shared / "papers/cms-lapsrn.md").read_text()
    table = text[text.index("Method\tUpsampling") : text.index("Table 1: Comparison")]
    assert [item.params for item in read_reported("cms-lapsrn-table1")] == re.findall(r"\b\d+k\b", table)


def test_misprints_stay_and_are_remarked() -> None:
    figures = {(item.row, item.dataset): item for item in read_reported("ps-supplement-table1", "D.S.Conv*")}
    assert figures["D.S.Conv-12", "Set14"].ssim == "0.9605"
    assert "misprint" in figures["D.S.Conv-12", "Set14"].note
    assert figures["D.S.Conv-4", "Set14"].ssim == "0.9608"
    assert "misprint" in figures["D.S.Conv-4", "Set14"].note


def test_a_glob_chooses_rows_by_model_or_printed_name() -> None:
    assert {item.row for item in read_reported("ps-supplement-table1", "edsr_baseline")} == {"Baseline"}
    assert len({item.model for item in read_reported("ps-supplement-table1", "*+ps(*)")}) == 27
    assert {item.row for item in read_reported("smsr-supplement-table2", "IMDN*")} == {
        "IMDN, Baseline",
        "IMDN, Basis",
        "IMDN, Ours",
    }


def test_wrong_tables_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ps-supplement-table1'"):
        read_reported("ps-suplement-table1")
    with pytest.raises(ConfigError, match=r"no row .* matches 'carn'; its rows: edsr_baseline, "):
        read_reported("ps-supplement-table1", "carn")
    with pytest.raises(ConfigError, match=r"missing\.csv' cannot be read: No such file"):
        read_reported(tmp_path / "missing.csv")
    header = "paper,table,row,scale,protocol,psnr"
    for text, said in (
        ("paper,tabel\nA,B\n", "line 2: unknown column 'tabel'; did you mean 'table'"),
        (f"{header}\nA,B,C,2,none,30.5\nA,B,C,two,none,30.5\n", "line 3: column 'scale' holds 'two'"),
        (f"{header}\nA,B,C,2,none,high\n", "column 'psnr' holds 'high'"),
        (f"{header}\nA,B,C\n", "line 2: column 'scale' holds None"),
        (f"{header}\nA,B,C,2,none,30.5,31\n", r"unknown column '\(more\)'"),
        ("paper,row\nA,C\n", "column 'table' holds nothing"),
    ):
        (tmp_path / "figures.csv").write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_reported(tmp_path / "figures.csv")
    (tmp_path / "figures.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file in UTF-8"):
        read_reported(tmp_path / "figures.csv")


SUITE = """name: mine
scale: 2
models: [bicubic]
datasets: [Set5]
reported:
  - {}
"""


def test_a_suite_names_tables_and_files_and_only_its_scales_are_shown(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("paper,table,row,scale,protocol\nA,B,C,2,none\nA,B,C,3,none\n")
    for spec, count in (
        ("ps-supplement-table2", 6),
        ('{table: ps-supplement-table1, models: "*dsconv*"}', 16),
        ("own.csv", 1),
    ):
        (tmp_path / "suite.yaml").write_text(SUITE.format(spec))
        suite = load_suite(tmp_path / "suite.yaml")
        assert len(suite.reported_figures()) == count
        assert "reported" in suite.definition()


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("ps-supplement", UnknownNameError, "suite.yaml, line 6: unknown table of reported figures"),
        ("cms-lapsrn-table1", ConfigError, "line 6: .* are for x4, not for the suite's scales"),
        ("{table: ps-supplement-table1, model: x}", ConfigError, "line 6: unknown key 'model'; did you mean 'models'"),
        ("{table: ps-supplement-table1, models: x}", ConfigError, "line 6: no row .* matches 'x'"),
        ("7", ConfigError, "line 6: "),
    ],
)
def test_wrong_keys_of_a_suite_get_a_sentence_with_their_line(
    tmp_path: Path, spec: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.format(spec))
    with pytest.raises(error, match=said):
        load_suite(tmp_path / "suite.yaml")
