"""Creating models by name: arguments, seeds and tags."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import srbench
from srbench.errors import ConfigError, WeightsError
from srbench.models.weight_files import save_state


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give either scale=2 or scales=(2, 3, 4) to create 'edsr_tiny'"),
        ({"scale": 2, "scales": (2, 3)}, "give either scale=2 or scales=(2, 3, 4)"),
        ({"scales": ()}, "scales must be distinct whole numbers from 1 to 16, such as 2, 3 or 4; got ()"),
        ({"scales": (2, 2)}, "got (2, 2)"),
        ({"scale": 0}, "got (0,)"),
        ({"scale": -1}, "got (-1,)"),
        ({"scale": 2.0}, "got (2.0,)"),
        ({"scale": 1.5}, "got (1.5,)"),
        ({"scale": "2"}, "got ('2',)"),
        ({"scale": True}, "got (True,)"),
        ({"scale": 1}, "EDSR is a network for one scale of 2, 3, 4; got 1"),
        ({"scale": 5}, "EDSR is a network for one scale of 2, 3, 4; got 5"),
        ({"scales": (2, 3)}, "EDSR is a network for one scale of 2, 3, 4; got 2, 3"),
        ({"scale": 2, "pretrained": True}, "pretrained=True needs a tag to choose the weights"),
    ],
)
def test_wrong_arguments_are_sentences(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        srbench.create_model("edsr_tiny", **arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name", ["edsr_tiny", "edsr_tiny+ps(ratio=1/4)", "edsr_tiny+ps(init=svd,num_filters=72)", "drrn_b1u9"]
)
def test_a_seed_decides_the_weights_and_leaves_the_callers_random_state_alone(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (srbench.create_model(name, scale=2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_without_a_seed_the_callers_random_state_decides() -> None:
    torch.manual_seed(5)
    one = srbench.create_model("edsr_tiny", scale=2).state_dict()
    next_one = srbench.create_model("edsr_tiny", scale=2).state_dict()
    torch.manual_seed(5)
    again = srbench.create_model("edsr_tiny", scale=2).state_dict()
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["conv_last.weight"], next_one["conv_last.weight"])


def test_the_random_state_comes_back_even_after_an_error() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with pytest.raises(srbench.SRBenchError):
        srbench.create_model("edsr_tiny+ps(shape=5x5x1x1)", scale=2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_scale_that_the_tag_lacks_is_refused_before_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path))
    for arguments in ({"scale": 8}, {"scales": (2, 8)}, {"scale": 8, "pretrained": False}):
        with pytest.raises(ConfigError, match=r"are for scale 2, 3, 4; scale 8 was asked for"):
            srbench.create_model("drrn_b1u9+ps.author", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_pretrained_false_makes_the_tagged_model_at_its_random_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path))
    model = srbench.create_model("drrn_b1u9+ps.author", scale=2, pretrained=False)
    assert str(model.model_name) == "drrn_b1u9+ps(ratio=1/9,shape=CxCx1x1).author"
    assert model.scales == (2,)
    assert list(tmp_path.iterdir()) == []


def test_a_tag_gives_one_scale_or_all(filled_cache: Any) -> None:
    whole = srbench.create_model("drrn_b1u9+ps.author", scales=(2, 3, 4))
    one = srbench.create_model("drrn_b1u9+ps.author", scale=3)
    assert (whole.scales, one.scales) == ((2, 3, 4), (3,))
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(whole(image, 3), one(image))


def test_models_know_their_canonical_name(tmp_path: Any) -> None:
    model = srbench.create_model("edsr_tiny+ps(shape=CxCx1x1, ratio=2/8)", scale=2)
    assert str(model.model_name) == "edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)"
    save_state(model, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"for 'edsr_tiny\+ps\(ratio=1/4,shape=CxCx1x1\)' \(x2\)"):
        srbench.models.weight_files.load_into(
            srbench.create_model("edsr_tiny+ps(ratio=1/2)", scale=2), tmp_path / "w.safetensors"
        )
