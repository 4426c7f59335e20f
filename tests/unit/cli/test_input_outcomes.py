"""Every kind of input that goes wrong in practice, end to end: one clear outcome each.

What is covered where:

| input | here | besides |
|---|---|---|
| no network | images, weights and LPIPS's file | test_bad_input.py; tests/unit/data/test_cache.py |
| a wrong hash | a download, and a file in the cache | tests/unit/data/test_cache.py |
| a truncated file | an image, weights | test_bad_input.py; tests/unit/data/test_images.py |
| an image of one pixel | as HR, as LR | test_bad_input.py |
| 16-bit, RGBA, palette, CMYK, grey | every kind of file | tests/unit/data/test_images.py |
| NaN out of a network | `eval`, in tiles, and in a run | tests/unit/evaluate |
| too small, or nothing to compare, for a metric | LPIPS, NIQE | tests/unit/metrics |
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srbench
from srbench.cache import Cache
from srbench.cli import main
from srbench.data.manifests import ManifestDataset
from srbench.images.files import pixels_sha256
from srbench.models.weight_files import save_state
from srbench.registry import tagged_source
from srbench.registry.registries import DATASETS

EVAL = "eval bicubic --scale 2 --data {folder} --protocol matlab-y"
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def lpips_made(filled_cache: Path) -> None:
    """Make LPIPS's network, which is kept in the process, before the cache is an empty one."""
    from srbench.metrics.lpips.network import network

    network()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in an empty folder with an empty cache and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there

    def command(line: str) -> tuple[int, str, str]:
        status = 0
        try:
            main(shlex.split(line))
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def refused(outcome: tuple[int, str, str], *words: str) -> None:
    status, _, error = outcome
    assert status == 2, error
    assert error.startswith("srbench: "), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for word in words:
        assert word in error


def picture(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def save(image: Image.Image, folder: str, suffix: str = "png", **options: object) -> Path:
    path = Path(folder) / f"one.{suffix}"
    path.parent.mkdir(exist_ok=True)
    image.save(path, **options)
    return path


# Kinds of images


@pytest.mark.parametrize(
    ("mode", "suffix", "words"),
    [
        ("RGBA", "png", "alpha channel; flatten it"),
        ("LA", "png", "alpha channel; flatten it"),
        ("CMYK", "jpg", "is in CMYK; convert it to RGB"),
        ("CMYK", "tif", "is in CMYK; convert it to RGB"),
        ("I;16", "png", "more than 8 bits per channel"),
        ("F", "tif", "floating-point"),
    ],
)
def test_an_image_that_needs_a_decision_is_refused_by_name(run: Run, mode: str, suffix: str, words: str) -> None:
    image = Image.new("I;16", (32, 24), 4000) if mode == "I;16" else picture(mode)
    save(image, "images", suffix)
    for line in (
        EVAL.format(folder="images"),
        "data info images",
        "train edsr_tiny --data images --scale 2 --iterations 1 --gt-size 8 --out out",
    ):
        refused(run(line), f"images/one.{suffix}", words)
    assert not Path("out").exists()


def test_16_bit_rgb_is_refused_too(run: Run) -> None:
    cv2 = pytest.importorskip("cv2")
    Path("images").mkdir()
    assert cv2.imwrite("images/one.png", np.full((24, 32, 3), 40_000, np.uint16))
    refused(run(EVAL.format(folder="images")), "images/one.png", "more than 8 bits per channel")


def test_a_palette_with_a_transparent_colour_is_refused(run: Run) -> None:
    save(picture("P"), "images", transparency=0)
    refused(run(EVAL.format(folder="images")), "images/one.png", "transparent")


@pytest.mark.parametrize(("mode", "suffix"), [("P", "png"), ("P", "bmp"), ("L", "png"), ("1", "png")])
def test_an_opaque_palette_and_grey_are_measured_as_the_rgb_that_they_show(run: Run, mode: str, suffix: str) -> None:
    image = picture(mode)
    save(image, "kinds", suffix)
    save(image.convert("RGB"), "rgb")
    found = []
    for folder in ("kinds", "rgb"):
        status, out, error = run(EVAL.format(folder=folder) + " --json -")
        assert status == 0, error
        found.append(json.loads(out)["metrics"])
    assert found[0] == found[1]


# Sizes


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((1, 1), "an image of 1x1 pixels is too small for scale 2"),
        ((3, 1), "an image of 3x1 pixels is too small for scale 2"),
        ((2, 2), "too small for this metric"),  # one LR pixel; nothing is left of the SR image without its border
        ((14, 14), "it needs 11x11"),
    ],
)
def test_an_image_of_a_pixel_or_a_few_says_what_is_needed(run: Run, size: tuple[int, int], words: str) -> None:
    save(picture(size=size), "images")
    refused(run(EVAL.format(folder="images")), words)


def test_one_lr_pixel_is_enlarged_where_there_is_something_to_compare(run: Run) -> None:
    save(picture(size=(8, 8)), "images")
    line = "eval bicubic --scale 3 --data images --protocol matlab-y --metrics psnr_y"
    refused(run(line), "too small for this metric")
    save(picture(size=(16, 16)), "images")
    status, out, error = run(line + " --json -")
    assert status == 0, error
    assert np.isfinite(json.loads(out)["metrics"]["psnr_y"])


@pytest.mark.parametrize(
    ("metric", "words"), [("lpips", "it needs 31x31"), ("niqe", "niqe needs two blocks of 96x96 pixels")]
)
def test_a_metric_that_an_image_is_too_small_for_says_so(lpips_made: None, run: Run, metric: str, words: str) -> None:
    save(picture(), "images")
    refused(run(EVAL.format(folder="images") + f" --metrics {metric}"), words)


# Files that are not what they should be


@pytest.mark.parametrize("kept", [0, 0.5, 0.95])
def test_a_truncated_image_is_named(run: Run, kept: float) -> None:
    path = save(picture(), "images")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    refused(run(EVAL.format(folder="images")), "images/one.png")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_download_with_another_hash_is_thrown_away(run: Run, served: tuple[Path, str]) -> None:
    folder, url = served
    save(picture(), str(folder))
    content = (folder / "one.png").read_bytes()
    entry = {
        "image": "one", "path": "one.png", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
        "width": 32, "height": 24, "pixels_sha256": pixels_sha256(np.array(picture())),
    }  # fmt: skip

    def tiny() -> ManifestDataset:
        dataset = ManifestDataset("Tiny", {"repository": "nobody/nothing", "commit": "main", "files": [entry]})
        dataset.files = {name: file._replace(url=f"{url}/one.png") for name, file in dataset.files.items()}
        return dataset

    srbench.register_dataset(tiny, name="Tiny")
    try:
        line = EVAL.format(folder="Tiny") + " --metrics psnr_y"
        for wrong, reason in ((content + b"more", "sent more than"), (content[:-9], "another hash")):
            (folder / "one.png").write_bytes(wrong)
            refused(run(line), reason, entry["sha256"], f"{url}/one.png", "srbench cache add PATH")
        (folder / "one.png").write_bytes(content)
        assert run(line)[0] == 0
    finally:
        DATASETS.remove("Tiny")


def test_a_damaged_file_in_the_cache_is_not_used(run: Run, shared: Path) -> None:
    source = tagged_source(srbench.ModelName("carn_m", None, (), "author"))
    cache = Cache()
    cache.keep((shared / "weights" / "nmhkahn_CARN-pytorch" / source.name).read_bytes())
    path = cache.path_for(source.sha256)
    path.write_bytes(path.read_bytes()[:-100])
    save(picture(), "images")
    line = "eval carn_m.author --scale 2 --data images --protocol matlab-y"
    refused(run(line), f"'{source.name}'", source.sha256, source.url, "srbench cache add PATH")
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (EVAL.format(folder="Set14"), "'Set14/"),
        ("eval carn_m.author --scale 2 --data images --protocol matlab-y", "'carn_m.pth'"),
        (EVAL.format(folder="images") + " --metrics lpips", "'alexnet-owt-7be5be79.pth'"),
    ],
)
def test_without_a_network_file_hash_address_and_a_way_out_are_named(run: Run, line: str, words: str) -> None:
    from srbench.metrics.lpips import network as lpips_network

    lpips_network._network.cache_clear()
    save(picture(size=(64, 64)), "images")
    refused(run(line), words, "sha256", "https://", "srbench cache add PATH")


# A network that returns NaN


def test_nan_out_of_a_network_is_a_sentence_in_eval(run: Run) -> None:
    model = srbench.create_model("edsr_tiny", scale=2, seed=0)
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, 0] = torch.nan
    save_state(model, Path("nan.safetensors"))
    save(picture(size=(64, 48)), "images")
    line = "eval edsr_tiny --weights nan.safetensors --scale 2 --data images --protocol matlab-y --save-images out"
    for options in ("", " --tile 16", " --self-ensemble", " --dtype bf16"):
        refused(run(line + options), "NaN or infinity")
    assert not Path("out").exists()


def test_nan_out_of_a_network_is_a_failed_cell_of_a_run_and_the_others_go_on(run: Run) -> None:
    save(picture(size=(64, 48)), "images")
    Path("suite.yaml").write_text(
        "name: nan\nscale: 2\nmodels: [{model: edsr_tiny, train: {lr: 1.0e+30}}, bicubic]\ndatasets: [images]\n"
        "train: {data: images, iterations: 3, gt_size: 8, batch_size: 1}\n"
    )
    status, out, error = run("run --suite suite.yaml --out run --jobs 1 --no-page")
    assert status == 1, error
    assert "bicubic" in out
    assert "failed: edsr_tiny x2 on images" in out
    assert "Traceback" not in error
    records = [json.loads(path.read_text()) for path in Path("run").glob("cells/*/record.json")]
    assert {record["model"]: record["status"] for record in records} == {"edsr_tiny": "failed", "bicubic": "ok"}
