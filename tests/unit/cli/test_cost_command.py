"""`srbench cost` and `srbench audit`: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.cost.latency import Timing, compare
from srbench.errors import ConfigError, CostError, SRBenchError, UnknownNameError
from srbench.models.factory import create_model


def run(*args: object) -> str:
    result = CliRunner().invoke(app, [*map(str, args)], terminal_width=200)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def table(output: str) -> list[list[str]]:
    """Return the rows of a table, each a name and its cells."""
    rows = [line.strip("│ ").split("│") for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows]


def lines(output: str) -> dict[str, list[str]]:
    """Return the rows of a table: name -> cells; of rows with one name, the last."""
    return {row[0]: row[1:] for row in table(output)}


def test_cost_prints_a_column_for_each_model() -> None:
    output = run("cost", "carn", "drrn_b1u9+ps.author", "--scale", 2)
    rows = lines(output)
    assert rows["parameters"] == ["964,187", "300,261"]
    assert rows["parameters when folded"] == ["964,187", "2,656,641"]
    assert rows["MACs, 1280x720 out"] == ["222.83 G", "2,448.26 G"]
    # 256x256 in is 65,536 LR pixels, 1280x720 out is 230,400.
    convolutions = [row[1:] for row in table(output) if row[0] == "of convolutions"]
    assert convolutions == [["222.83 G", "2,448.24 G"], ["63.38 G", "696.39 G"]]
    assert rows["MACs to generate weights"] == ["–", "47.8 M"]


def test_cost_as_json(tmp_path: Path) -> None:
    run("cost", "edsr_baseline", "--scale", 4, "--json", tmp_path / "cost.json")
    found = json.loads((tmp_path / "cost.json").read_text())
    model: dict[str, Any] = found["models"][0]
    assert (found["schema_version"], found["scale"], found["folded"]) == (1, 4, False)
    assert model["model"] == "edsr_baseline"
    assert model["output_1280x720"]["macs"] == model["output_1280x720"]["analytic"] == 114_230_476_800
    assert (model["output_1280x720"]["lr_height"], model["output_1280x720"]["lr_width"]) == (180, 320)
    assert (model["params"], model["stored"], model["not_counted"]) == (1_517_571, 1_517_571, None)


def test_a_folded_network_makes_no_weights() -> None:
    assert "generate weights" in run("cost", "edsr_tiny+ps", "--scale", 2)
    output = run("cost", "edsr_tiny+ps", "--scale", 2, "--fold")
    assert "generate weights" not in output
    assert lines(output)["parameters"] == ["31,043"]


def test_times_are_printed_with_what_they_were_taken_on(tmp_path: Path) -> None:
    options = ("--latency", "--seconds", 0.1, "--threads", 1, "--lr-size", "16x12")
    output = run("cost", "edsr_tiny", "edsr_baseline", "--scale", 2, *options, "--json", tmp_path / "cost.json")
    rows = lines(output)
    found = json.loads((tmp_path / "cost.json").read_text())
    first, second = (Timing(tuple(model["latency"]["seconds"])) for model in found["models"])
    assert rows["forward pass, LR 16x12"] == [f"{1e3 * timing.median:.2f} ms" for timing in (first, second)]
    expected = compare(second, first)
    assert rows["verdict"] == ["first", expected.verdict]
    latency = found["models"][1]["latency"]
    assert (latency["ratio_to_first"], latency["ratio_interval"]) == (expected.ratio, [expected.low, expected.high])
    assert rows["ratio to the first"] == ["1", f"{expected.ratio:.3f}"]
    assert rows["99% interval"] == ["", f"{expected.low:.3f} to {expected.high:.3f}"]
    assert "rounds in turns after 3 to warm up" in output
    assert "1 thread of" in output
    assert "clock, MHz: " in output
    assert "governor: " in output
    found = json.loads(run("cost", "edsr_tiny", "--scale", 2, *options, "--json", "-"))
    assert found["measured_on"] == {"lr_height": 12, "lr_width": 16}
    assert found["timing"]["tf32"] is False
    assert len(found["models"][0]["latency"]["seconds"]) == found["timing"]["rounds"] >= 7


def test_a_model_that_cannot_be_counted_is_named_beside_the_others() -> None:
    output = run("cost", "edsr_tiny", "bicubic", "--scale", 2)
    assert lines(output)["parameters"] == ["31,043", "–"]
    assert "bicubic: the operators of 'bicubic' cannot be counted" in output


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("cost", "edsr_tinny", "--scale", 2), UnknownNameError, "did you mean 'edsr_tiny'"),
        (("cost", "bicubic", "--scale", 2), CostError, "computes outside torch"),
        (("cost", "edsr_tiny", "--scale", 2, "--lr-size", "12"), ConfigError, "width x height in pixels, .* got '12'"),
        (("cost", "edsr_tiny", "--scale", 2, "--lr-size", "0x3"), ConfigError, "got '0x3'"),
        (("cost", "edsr_tiny", "--scale", 2, "--data", "Set5"), ConfigError, "--data needs a model with weights"),
        (
            ("cost", "smsr", "smsr.author", "--scale", 2, "--data", "embedded-test"),
            ConfigError,
            "--data needs a model with weights, and 'smsr' has random ones",
        ),
        (("cost", "bicubic", "bicubic", "--scale", 2), CostError, "computes outside torch"),
        (
            ("cost", "edsr_tiny", "--scale", 2, "--latency", "--lr-size", "1000000x1000000"),
            ConfigError,
            "at most 65,536 pixels a side; got '1000000x1000000'",
        ),
        (
            ("cost", "edsr_tiny", "--scale", 2, "--latency", "--lr-size", "9" * 5000 + "x5"),
            ConfigError,
            "at most 65,536 pixels a side",
        ),
        (
            ("cost", "edsr_tiny", "--scale", 2, "--latency", "--threads", 99_999_999_999),
            ConfigError,
            "threads=99999999999 is not a whole number of at least 1 and at most 1,024",
        ),
        (("cost", "edsr_tiny", "--scale", 7), ConfigError, "EDSR is a network for one scale of 2, 3, 4"),
        (("audit", "edsr_tiny"), ConfigError, "give either --scale 2 or --scales 2,3,4"),
        (("audit", "edsr_tiny", "--scale", 2, "--scales", "2,3"), ConfigError, "give either --scale 2 or"),
        (("audit", "carn", "--scales", "2,x"), ConfigError, "--scales is a list such as 2,3,4; got '2,x'"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[object, ...], error: type[SRBenchError], said: str) -> None:
    with pytest.raises(error, match=said):
        run(*arguments)


def test_weights_are_loaded_for_networks_whose_time_they_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, bool]] = []
    measured: list[tuple[str, bool]] = []

    def build(name: Any, *, scale: int, pretrained: bool, seed: int = 0) -> Any:
        built.append((str(name), pretrained))
        return create_model(name, scale=scale, pretrained=False, seed=0)

    def peak(name: str, *size: int, pretrained: bool, **options: Any) -> int:
        measured.append((name, pretrained))
        return 1

    monkeypatch.setattr("srbench.models.factory.create_model", build)
    monkeypatch.setattr("srbench.cost.memory.peak_on_cpu", peak)
    names = ("smsr.author", "carn_m.author", "smsr")
    output = run("cost", *names, "--scale", 2, "--memory", "--latency", "--lr-size", "8x8", "--seconds", 0.1)
    assert [name for name, pretrained in built if pretrained] == ["smsr.author"]
    assert measured == [("smsr.author", True), ("carn_m.author", False), ("smsr", False)]
    assert [line for line in output.splitlines() if "random weights" in line] == [
        "smsr: measured with random weights, so its masks skip other parts than trained ones; name a tag"
    ]
    built.clear()
    found = json.loads(run("cost", "smsr.author", "smsr", "--scale", 2, "--json", "-"))
    assert not any(pretrained for _, pretrained in built)  # nothing is measured, so weights decide nothing
    assert not any(model["random_masks"] for model in found["models"])


def test_audit_prints_who_shares_what() -> None:
    rows = lines(run("audit", "drrn_b1u9+ps.author", "--scale", 2))
    assert rows["shared.ps_units"] == ["units.0-8.conv1-2", "294,912", "18", "18"]
    assert rows["unique: each tensor once"] == ["300,261"]
    assert rows["unshared: each use with its own"] == rows["dense form (drrn_b1u9+dense)"] == ["2,656,641"]


def test_audit_of_a_recursive_network_says_how_deep_it_is() -> None:
    output = run("audit", "edsr_tiny+recursive", "--scale", 2)
    assert lines(output)["shared.recursive_conv1-2"] == ["body.0-3.conv1-2", "4,640", "4", "4"]
    assert "recursion depth 4: body.0-3.conv1 is one layer" in output
    assert "no tensor is used by two layers" in run("audit", "edsr_tiny", "--scale", 2)


def test_audit_as_json(tmp_path: Path) -> None:
    run("audit", "drrn_b1u9+ps.author", "--scales", "2,3,4", "--json", tmp_path / "audit.json")
    found = json.loads((tmp_path / "audit.json").read_text())
    assert (found["unique"], found["recursion_depth"]) == (306_093, 1)
    assert found["executed"] == found["unshared"] == found["dense"] == dict.fromkeys("234", 2_656_641)
    bank = next(tensor for tensor in found["tensors"] if tensor["name"] == "shared.ps_units.filters")
    assert (len(bank["layers"]), bank["executions"], bank["shared"]) == (18, {"2": 18, "3": 18, "4": 18}, True)
