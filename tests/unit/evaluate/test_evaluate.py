"""Evaluation: what it returns, what it refuses, what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from srbench.data.folders import FolderDataset
from srbench.errors import ConfigError, DataError, UnknownNameError
from srbench.evaluation.evaluate import evaluate, evaluate_protocols
from srbench.evaluation.options import InferenceOptions
from srbench.evaluation.warm_up import first_pass, warm_up
from srbench.images.files import read_rgb, write_png
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNRY
from srbench.metrics.ssim import SSIMY
from srbench.protocols import Protocol, get_protocol

Image = npt.NDArray[np.uint8]
MATLAB = get_protocol("matlab-y")
METRICS = [PSNRY(), SSIMY()]


class Nearest(nn.Module):
    """Repeat every pixel, and let a test spoil the result."""

    def __init__(self, spoil: Callable[[Tensor], Tensor] = lambda image: image) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)  # tells training from evaluation mode
        self.spoil = spoil
        self.threads: list[int] = []

    def forward(self, lr: Tensor, scale: int) -> tuple[Tensor, ...]:
        self.threads.append(torch.get_num_threads())
        image = lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        return image.new_zeros(1), self.spoil(self.dropout(image))

    def image(self, outputs: tuple[Tensor, ...]) -> Tensor:
        return outputs[-1]


@pytest.fixture
def dataset(tmp_path: Path, seed: int) -> FolderDataset:
    rng = np.random.default_rng(seed)
    for index, size in enumerate([(31, 44), (40, 40), (25, 33), (60, 30), (33, 51)]):
        coarse = rng.integers(0, 256, (size[0] // 3 + 1, size[1] // 3 + 1, 3), dtype=np.uint8)
        write_png(imresize(coarse, 3)[: size[0], : size[1]], tmp_path / "hr" / f"image{index}.png")
    return FolderDataset(tmp_path / "hr")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_scores_are_those_of_the_metrics_on_the_images(dataset: FolderDataset, scale: int) -> None:
    frame = evaluate(Nearest(), dataset, scale, MATLAB, METRICS).table
    assert list(frame.columns) == ["image", "psnr_y", "ssim_y", "forward_seconds"]
    assert frame["image"].tolist() == dataset.image_names()
    assert (frame["forward_seconds"] > 0).all()
    for row in frame.to_dict(orient="records"):
        hr = MATLAB.mod_crop(dataset.hr(row["image"]), scale)
        sr = MATLAB.lr_image(hr, scale).repeat(scale, axis=0).repeat(scale, axis=1)
        assert row["psnr_y"] == PSNRY()(Comparison.under(MATLAB, sr, hr, scale))
        assert row["ssim_y"] == SSIMY()(Comparison.under(MATLAB, sr, hr, scale))
        if scale == 1:
            assert row["psnr_y"] == math.inf


def test_the_protocol_decides_the_rounding(dataset: FolderDataset) -> None:
    model = Nearest(lambda image: image + 0.6 / 255)
    rounded = evaluate(model, dataset, 2, MATLAB, METRICS).table
    truncated = evaluate(model, dataset, 2, get_protocol("truncate-y"), METRICS).table
    plain = evaluate(Nearest(), dataset, 2, MATLAB, METRICS).table
    assert truncated["psnr_y"].tolist() == plain["psnr_y"].tolist()
    assert rounded["psnr_y"].tolist() != plain["psnr_y"].tolist()


def test_several_protocols_give_the_same_numbers_with_one_pass_per_image(
    dataset: FolderDataset, tmp_path: Path
) -> None:
    model = Nearest(lambda image: image + 0.6 / 255)
    protocols = [MATLAB, get_protocol("truncate-y")]
    together = evaluate_protocols(model, dataset, 2, protocols, METRICS, save_images=tmp_path / "together")
    assert len(model.threads) == 5, "forward passes of 5 images"
    for protocol, found in zip(protocols, together, strict=True):
        alone = evaluate(model, dataset, 2, protocol, METRICS, save_images=tmp_path / protocol.name)
        assert found.protocol is protocol
        assert found.scores.equals(alone.scores)
        for image in dataset.image_names():
            saved = (tmp_path / "together" / protocol.name / f"{image}.png").read_bytes()
            assert saved == (tmp_path / protocol.name / f"{image}.png").read_bytes()
    assert len(model.threads) == 15
    assert not together[0].scores.equals(together[1].scores)


def test_protocols_that_cannot_share_outputs_are_refused(dataset: FolderDataset) -> None:
    other = replace(MATLAB, name="other-y", lr_rounding="once")
    for protocols, words in (([MATLAB, other], "different LR images"), ([MATLAB] * 2, "twice"), ([], "no protocol")):
        model = Nearest()
        with pytest.raises(ConfigError, match=words):
            evaluate_protocols(model, dataset, 2, protocols, METRICS)
        assert not model.threads


def test_saved_images_are_those_that_were_scored(dataset: FolderDataset, tmp_path: Path) -> None:
    frame = evaluate(Nearest(), dataset, 2, MATLAB, METRICS, save_images=tmp_path / "sr").table
    assert sorted(path.name for path in (tmp_path / "sr").iterdir()) == [f"{n}.png" for n in dataset.image_names()]
    for row in frame.to_dict(orient="records"):
        saved = read_rgb(tmp_path / "sr" / f"{row['image']}.png")
        assert (
            PSNRY()(Comparison.under(MATLAB, saved, MATLAB.mod_crop(dataset.hr(row["image"]), 2), 2)) == row["psnr_y"]
        )


def test_the_collector_is_given_the_images_that_were_compared(dataset: FolderDataset, tmp_path: Path) -> None:
    given: dict[tuple[str, str], tuple[Image, Image]] = {}

    def collect(protocol: Protocol, name: str, sr: Image, hr: Image) -> None:
        assert (protocol.name, name) not in given
        given[protocol.name, name] = (sr, hr)

    protocols = [MATLAB, get_protocol("truncate-y")]
    evaluate_protocols(Nearest(), dataset, 2, protocols, METRICS, collect=collect, save_images=tmp_path / "sr")
    assert set(given) == {(protocol.name, name) for protocol in protocols for name in dataset.image_names()}
    for (protocol_name, name), (sr, hr) in given.items():
        assert np.array_equal(sr, read_rgb(tmp_path / "sr" / protocol_name / f"{name}.png"))
        assert np.array_equal(hr, MATLAB.mod_crop(dataset.hr(name), 2))


def test_an_error_of_the_collector_stops_the_evaluation(dataset: FolderDataset) -> None:
    def collect(*_: object) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        evaluate(Nearest(), dataset, 2, MATLAB, METRICS, collect=collect)


def test_an_evaluation_is_one_object(dataset: FolderDataset) -> None:
    found = evaluate(Nearest(), dataset, 2, MATLAB, METRICS)
    assert (found.dataset, found.scale, found.protocol, found.tile_error) == ("hr", 2, MATLAB, None)
    assert found.images == dataset.image_names() == list(found.forward_seconds)
    assert list(found.scores.columns) == ["image", "psnr_y", "ssim_y"]
    assert found.means == {name: found.table[name].mean() for name in ("psnr_y", "ssim_y")}
    assert all(seconds > 0 for seconds in found.forward_seconds.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_no_number_is_an_error(dataset: FolderDataset, value: float) -> None:
    def spoil(image: Tensor) -> Tensor:
        image = image.clone()
        image[0, 1, 3, 2] = value
        return image

    with pytest.raises(DataError, match="NaN or infinity"):
        evaluate(Nearest(spoil), dataset, 2, MATLAB, METRICS)


def test_a_wrong_size_is_an_error_that_names_both(dataset: FolderDataset) -> None:
    with pytest.raises(DataError, match=r"'hr/image0': the model made 44x29 pixels, where scale 2 asks for 44x30"):
        evaluate(Nearest(lambda image: image[..., :-1, :]), dataset, 2, MATLAB, METRICS)
    with pytest.raises(DataError, match=r"shape \(1, 3, H, W\), got \(1, 1, 30, 44\)"):
        evaluate(Nearest(lambda image: image[:, :1]), dataset, 2, MATLAB, METRICS)


def test_values_outside_0_to_1_are_clamped(dataset: FolderDataset) -> None:
    frame = evaluate(Nearest(lambda image: (image - 0.5) * 1e6), dataset, 2, MATLAB, METRICS).table
    assert frame["psnr_y"].between(0, 60).all()


def test_a_filter_takes_names_or_a_predicate(dataset: FolderDataset) -> None:
    by_name = evaluate(Nearest(), dataset, 2, MATLAB, METRICS, image_filter=["image3", "image1"]).table
    assert by_name["image"].tolist() == ["image1", "image3"]
    by_rule = evaluate(Nearest(), dataset, 2, MATLAB, METRICS, image_filter=lambda name: name > "image2").table
    assert by_rule["image"].tolist() == ["image3", "image4"]
    with pytest.raises(UnknownNameError, match="did you mean 'image"):
        evaluate(Nearest(), dataset, 2, MATLAB, METRICS, image_filter=["image9"])
    with pytest.raises(ConfigError, match="none of the 5 images"):
        evaluate(Nearest(), dataset, 2, MATLAB, METRICS, image_filter=lambda name: False)


def test_progress_is_told_of_every_image(dataset: FolderDataset) -> None:
    seen: list[tuple[str, int, int]] = []
    evaluate(Nearest(), dataset, 2, MATLAB, METRICS, progress=lambda *step: seen.append(step))
    assert seen == [(name, index + 1, 5) for index, name in enumerate(dataset.image_names())]


def test_few_outputs_wait_to_be_scored(dataset: FolderDataset) -> None:
    model = Nearest()
    ahead: list[int] = []
    evaluate(
        model, dataset, 2, MATLAB, METRICS, progress=lambda _, done, total: ahead.append(len(model.threads) - done)
    )
    assert len(ahead) == 5
    assert max(ahead) <= 2


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_threads_are_as_before(dataset: FolderDataset, training: bool) -> None:
    model = Nearest().train(training)
    before = torch.get_num_threads()
    evaluate(model, dataset, 2, MATLAB, METRICS, threads=before + 1)
    assert set(model.threads) == {before + 1}
    assert torch.get_num_threads() == before
    assert model.training is training


def test_mode_and_threads_are_as_before_after_an_error(dataset: FolderDataset) -> None:
    model = Nearest(lambda image: image * math.nan).train()
    before = torch.get_num_threads()
    with pytest.raises(DataError):
        evaluate(model, dataset, 2, MATLAB, METRICS, threads=before + 1)
    assert torch.get_num_threads() == before
    assert model.training


def test_a_damaged_image_stops_with_its_name(dataset: FolderDataset) -> None:
    path = dataset.path / "image4.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="image4"):
        evaluate(Nearest(), dataset, 2, MATLAB, METRICS)


def test_shipped_lr_files_are_used_only_when_asked_for(dataset: FolderDataset, tmp_path: Path) -> None:
    for name in dataset.image_names():
        write_png(dataset.hr(name), tmp_path / "both" / "HR" / f"{name}.png")
        lr = 255 - dataset.lr(name, 2, MATLAB)
        write_png(lr, tmp_path / "both" / "LR" / "X2" / f"{name}.png")
    both = FolderDataset(tmp_path / "both")
    generated = evaluate(Nearest(), both, 2, MATLAB, METRICS).table
    shipped = evaluate(Nearest(), both, 2, MATLAB, METRICS, lr="shipped").table
    inverted = evaluate(Nearest(lambda image: 1 - image), both, 2, MATLAB, METRICS).table
    assert shipped["psnr_y"].tolist() == inverted["psnr_y"].tolist()
    assert (shipped["psnr_y"] < generated["psnr_y"]).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"scale": 0}, "whole number"), ({"threads": 0}, "threads"), ({"metrics": []}, "metric"), ({"lr": "x"}, "lr is")],
)
def test_wrong_arguments_are_sentences(dataset: FolderDataset, changed: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {"scale": 2, "protocol": MATLAB, "metrics": METRICS, **changed}
    with pytest.raises(ConfigError, match=words):
        evaluate(Nearest(), dataset, **arguments)  # type: ignore[arg-type]


def test_a_first_pass_changes_no_result(dataset: FolderDataset) -> None:
    cold, warm = Nearest().eval(), Nearest().eval()
    lr = dataset.pair("image0", 2, MATLAB)[0]
    for inference in (InferenceOptions(), InferenceOptions(tile=16, self_ensemble=True)):
        first_pass(warm, lr, 2, torch.device("cpu"), inference)
        frames = [evaluate(net, dataset, 2, MATLAB, METRICS, inference=inference).table for net in (cold, warm)]
        assert frames[0].drop(columns="forward_seconds").equals(frames[1].drop(columns="forward_seconds"))
    assert len(warm.threads) > len(cold.threads), "the network ran once more"


def test_a_cpu_is_not_warmed_up(dataset: FolderDataset) -> None:
    model = Nearest().eval()
    assert warm_up(model, dataset, 2, MATLAB, device="cpu") is False
    assert not model.threads
