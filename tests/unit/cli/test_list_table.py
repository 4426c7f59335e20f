"""`srbench list models --table`, against Table 1 of the CMS-LapSRN paper."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, PluginError
from srbench.models.architecture import Architecture
from srbench.models.summary_table import model_rows
from srbench.registry import BACKBONES

# Hyun et al., CMS-LapSRN, Table 1 (x4): name here, up-sampling, reconstruction, skips over all and inside, depth,
# filters, thousands of parameters as printed.
TABLE_1 = {
    "vdsr": ("pre", "direct", True, False, 20, 64, 665),
    "drcn": ("pre", "direct", True, False, 20, 256, 1775),
    "drrn_b1u25": ("pre", "direct", True, True, 52, 128, 297),
    "mdsr": ("post", "direct", False, True, 162, 64, 8000),
    "lapsrn": ("post", "progressive", True, False, 24, 64, 812),
    "ms_lapsrn_r8": ("post", "progressive", True, True, 84, 64, 222),
    "ms_lapsrn_r8+tied_tconv(conv=3)": ("post", "progressive", True, True, 84, 64, 185),
}


def test_the_rows_of_table_1_are_as_printed() -> None:
    for row in model_rows(TABLE_1, scale=4):
        upsampling, reconstruction, global_skip, local_skips, depth, filters, thousands = TABLE_1[row.model]
        about = row.architecture
        assert about is not None
        assert (about.upsampling, about.reconstruction) == (upsampling, reconstruction)
        assert (about.global_skip, about.local_skips) == (global_skip, local_skips)
        assert (about.depth, about.filters) == (depth, filters)
        assert row.parameters is not None
        # LapSRN's row is without biases (812,768 of 814,242), MDSR's rounded; test_zoo_figures has each difference.
        assert row.parameters // 1000 == {"lapsrn": 814, "mdsr": 7954}.get(row.model, thousands)


def test_a_multi_scale_network_has_both_counts() -> None:
    (row,) = model_rows(["carn_m"], scale=4)
    assert (row.parameters, row.deployed) == (414_811, 294_171)
    (merged,) = model_rows(["ecbsr"], scale=2)
    assert (merged.parameters, merged.deployed) == (2_220_416, 594_884)


def test_a_network_whose_plugin_is_broken_leaves_the_others_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scales: tuple[int, ...]) -> None:
        raise PluginError("its plugin is broken")

    monkeypatch.setitem(BACKBONES._local, "odd", broken)
    odd, tiny = model_rows(["odd", "imdn_tiny"], scale=2)
    assert (odd.parameters, odd.absent) == (None, "its plugin is broken")
    assert tiny.parameters


def test_the_table_is_printed_and_written() -> None:
    printed = CliRunner().invoke(app, ["list", "models", "fsrcnn*", "--table", "--scale", "3"])
    assert printed.exit_code == 0, printed.output
    assert "12,809" in printed.stdout
    assert "do not exist at x3, e.g." in printed.stdout  # fsrcnn+sparse_mask or another that finds no sites
    written = CliRunner().invoke(app, ["list", "models", "fsrcnn", "--table", "--json", "-"])
    (row,) = json.loads(written.stdout)["models"]
    assert row["parameters"] == row["deployed"] == 12_809
    assert row["architecture"]["depth"] == 8


def test_without_a_pattern_networks_alone_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("srbench.models.summary_table._row", lambda name, scale: asked.append(name))
    CliRunner().invoke(app, ["list", "models", "--table"])
    assert {"bicubic", "edsr_tiny", "vdsr"} <= set(asked)
    assert not [name for name in asked if "+" in name or "." in name]


@pytest.mark.parametrize("kind", ["methods", "suites", "datasets"])
def test_only_models_have_the_table(kind: str) -> None:
    result = CliRunner().invoke(app, ["list", kind, "--table"])
    assert isinstance(result.exception, ConfigError)
    assert "describes models or backbones" in str(result.exception)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"upsampling": "both"}, "upsampling='both' is not one of pre, post"), ({"depth": 0}, "must be at least 1")],
)
def test_a_wrong_description_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Architecture(**{"depth": 1, "filters": 1, **wrong})  # type: ignore[arg-type]
