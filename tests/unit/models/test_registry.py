from __future__ import annotations

import subprocess
import sys

import pytest

from srbench import registry
from srbench.errors import ConfigError, UnknownNameError
from srbench.registry import canonical_name, is_model, list_models


def test_globs_choose_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.BACKBONES, "_local", {})  # what other tests registered in this process
    assert list_models("drrn_b1u9+ps*") == [
        "drrn_b1u9+ps",
        "drrn_b1u9+ps.author",
        "drrn_b1u9+ps.author-coefficients-x2",
        "drrn_b1u9+ps.author-coefficients-x3",
        "drrn_b1u9+ps.author-coefficients-x4",
    ]
    assert list_models("*+ps") == [f"{name}+ps" for name in list_models() if name.isidentifier() and name != "bicubic"]
    assert list_models(["bicubic", "edsr_tiny"]) == ["bicubic", "edsr_tiny"]
    assert list_models("nothing*") == []


@pytest.mark.parametrize("name", ["edsr_tiny", "edsr_tiny+ps(ratio=1/2)", "drrn_b1u9+ps.author", "bicubic"])
def test_is_model_knows_what_can_be_created(name: str) -> None:
    assert is_model(name)


@pytest.mark.parametrize("name", ["edsr_tinny", "edsr_tiny+pss", "edsr_tiny+ps(ratio=2)", "edsr_tiny.author", "", "+"])
def test_is_model_knows_what_cannot(name: str) -> None:
    assert not is_model(name)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("edsr_tinny", UnknownNameError, "unknown backbone 'edsr_tinny'; did you mean 'edsr_tiny'?"),
        ("edsr_tiny+pss", UnknownNameError, "unknown method 'pss'; did you mean 'ps'?"),
        ("edsr_tiny+ps(ratios=1/2)", ConfigError, "did you mean 'ratio'?"),
        ("edsr_tiny+ps(ratio=0)", ConfigError, r"ratio=0 is not in \(0, 1\]"),
        ("edsr_tiny+ps(ratio=2)", ConfigError, r"ratio=2 is not in \(0, 1\]"),
        ("edsr_tiny+ps(ratio=abc)", ConfigError, r"ratio=abc is not in \(0, 1\]"),
        ("edsr_tiny+ps(num_filters=1/2)", ConfigError, "whole number"),
        ("edsr_tiny+ps(num_filters=3,ratio=1/2)", ConfigError, "not both"),
        ("edsr_tiny+ps(shape=64x64)", ConfigError, "not a partial-filter shape"),
        ("edsr_tiny+dense(x=1)", ConfigError, "no argument 'x'"),
        ("drrn_b1u9+ps.autor", UnknownNameError, "did you mean 'drrn_b1u9\\+ps.author'?"),
        ("drrn_b1u9+ps(ratio=1/2).author", ConfigError, "contradicts its tag"),
    ],
)
def test_wrong_names_get_a_sentence(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        canonical_name(name)


def test_defaults_are_filled_in() -> None:
    assert str(canonical_name("edsr_tiny+ps")) == "edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)"
    assert str(canonical_name("edsr_tiny+ps(init=he,ratio=0.25)")) == str(canonical_name("edsr_tiny+ps"))
    assert str(canonical_name("drrn_b1u9+ps.author")) == "drrn_b1u9+ps(ratio=1/9,shape=CxCx1x1).author"
    # A canonical name is its own canonical name.
    for name in list_models():
        assert canonical_name(str(canonical_name(name))) == canonical_name(name)


def test_names_and_listings_need_no_torch() -> None:
    code = (
        "import sys; import srbench; from srbench.registry import canonical_name;"
        "[canonical_name(n) for n in srbench.list_models()]; srbench.list_suites(); srbench.list_datasets();"
        "print('torch' in sys.modules, 'timm' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_a_name_without_its_plugin_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {kind: {} for kind in registry.entry_points.GROUPS}
    monkeypatch.setattr(registry.entry_points, "contributions", lambda: empty)
    with pytest.raises(UnknownNameError, match=r'pip install "sr-bench\[ps\]"'):
        registry.get_method("ps")
    with pytest.raises(UnknownNameError, match=r'pip install "sr-bench\[ps\]"'):
        registry.get_backbone("drrn_b1u9")
