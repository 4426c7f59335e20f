"""`srbench check`: outcomes by name, of a model and of a distribution, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srbench.cli import main


def run(*words: str) -> int:
    try:
        main(["check", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_model_is_checked_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edsr_tiny+ps", "--fast", "--json", str(tmp_path / "a.json")) == 0
    assert "passed           fold_on_meta" in capsys.readouterr().out
    (model,) = json.loads((tmp_path / "a.json").read_text())["models"]
    found = {check["check"]: check["status"] for check in model["checks"]}
    assert found["identity:ratio_1_equals_dense"] == found["identity:identity_coefficients_equal_recursive"] == "passed"
    assert "failed" not in found.values()


def test_a_distributions_methods_and_backbones_are_found() -> None:
    from srbench.testing.distributions import contributed_by, distribution_named

    name = distribution_named("SR_bench.tied-tconv")
    assert name == distribution_named("tied_tconv") == "sr-bench-tied-tconv"
    found, left_out = contributed_by(name, (2,))
    assert "ms_lapsrn_tiny+tied_tconv" in found
    assert "lapsrn" in found
    assert not left_out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["edsr_tin"], "did you mean 'edsr_tiny'?"),
        (["edsr_tiny", "--scales", "2,x"], "--scales takes whole numbers"),
        (["edsr_tiny", "--examples", "0"], "--examples"),
    ],
)
def test_wrong_input_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1
    assert said in error
