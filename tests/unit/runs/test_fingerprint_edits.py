"""Edits planted in a copy of our packages, each with what it makes stale: only what it changes the figures of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from srbench.protocols import get_protocol
from srbench.registry.names import parse
from srbench.runs import fingerprint
from srbench.runs.code_graph import CodeBase

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = {
    "srbench": ROOT / "core/srbench",
    "srbench_ps": ROOT / "plugins/ps/src/srbench_ps",
    "srbench_tied_tconv": ROOT / "plugins/tied_tconv/src/srbench_tied_tconv",
}

# Name -> model, metrics, protocol. `train` is the training of the model, which has neither.
CELLS = {
    "edsr": ("edsr_tiny", ("psnr_y", "ssim_y"), "matlab-y"),
    "edsr psnr": ("edsr_tiny", ("psnr_y",), "matlab-y"),
    "edsr rgb": ("edsr_tiny", ("psnr_rgb",), "ntire"),
    "edsr luma of ntire": ("edsr_tiny", ("psnr_rgb", "psnr_y"), "ntire"),
    "ps": ("edsr_tiny+ps", ("psnr_y", "ssim_y"), "matlab-y"),
    "ps rgb": ("edsr_tiny+ps", ("psnr_rgb",), "ntire"),
    "luma rgb": ("ms_lapsrn_tiny", ("psnr_rgb",), "ntire"),
}
TRAININGS = {"train edsr": "edsr_tiny", "train ps": "edsr_tiny+ps", "train luma": "ms_lapsrn_tiny"}
EVERYTHING = {*CELLS, *TRAININGS}


def digests(folder: Path) -> dict[str, str]:
    """Return the code digest of each cell and training, of the packages in a folder."""
    code = CodeBase({name: folder / name for name in PACKAGES})
    found = {
        name: fingerprint.cell_code(
            parse(model), metrics=metrics, protocol=get_protocol(protocol), dataset=fingerprint.FOLDER, code=code
        )
        for name, (model, metrics, protocol) in CELLS.items()
    }
    return found | {name: fingerprint.training_code(parse(model), code=code) for name, model in TRAININGS.items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the packages."""
    folder = tmp_path_factory.mktemp("packages")
    for name, source in PACKAGES.items():
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def before(original: Path) -> dict[str, str]:
    return digests(original)


@pytest.fixture
def stale(original: Path, before: dict[str, str], tmp_path: Path) -> Callable[..., set[str]]:
    """Return a function that edits a copy and returns what that makes stale."""

    def after(edit: Callable[[Path], None]) -> set[str]:
        folder = tmp_path / "packages"
        shutil.copytree(original, folder)
        edit(folder)
        now = digests(folder)
        return {name for name in before if now[name] != before[name]}

    return after


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit of one file; `old` must be there, so that a test cannot pass because nothing was edited."""

    def edit(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}: this test must be brought up to date"
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return edit


@dataclass(frozen=True)
class Edit:
    """An edit that changes no figure."""

    file: str
    old: str
    new: str


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(
            Edit(
                "srbench/metrics/psnr.py", '"""PSNR over the three channels of RGB together."""', '"""PSNR of RGB."""'
            ),
            id="docstring",
        ),
        pytest.param(
            Edit("srbench/images/resize.py", "# Python's sort is stable", "# Sorting is stable"), id="comment"
        ),
        pytest.param(
            Edit("srbench/images/resize.py", "imresize needs a scale or an output_shape", "give a scale or a shape"),
            id="message",
        ),
        pytest.param(
            Edit("srbench/images/resize.py", "def _cubic(x: Floats) -> Floats", "def _cubic(x)"), id="annotation"
        ),
        pytest.param(Edit("srbench/images/resize.py", "_factors_and_shape", "_sizes"), id="renamed private function"),
        pytest.param(
            Edit("srbench/metrics/psnr.py", '__all__ = ["PSNR", "PSNRRGB", "PSNRY", "psnr"]', '__all__ = ["psnr"]'),
            id="__all__",
        ),
        pytest.param(Edit("srbench/errors.py", "class ", "# other\nclass "), id="module that is not numeric"),
    ],
)
def test_edit_that_changes_no_figure_makes_nothing_stale(stale: Callable[..., set[str]], edit: Edit) -> None:
    assert stale(replaced(edit.file, edit.old, edit.new)) == set()


def test_renamed_class_makes_nothing_stale(stale: Callable[..., set[str]]) -> None:
    def rename(folder: Path) -> None:
        for file in ("layers", "bank", "batched", "identities", "loading"):
            replaced(f"srbench_ps/{file}.py", "SharedConv", "CombinedConv")(folder)

    assert stale(rename) == set()


def test_moved_module_makes_nothing_stale(stale: Callable[..., set[str]]) -> None:
    def move(folder: Path) -> None:
        (folder / "srbench/images/resize.py").rename(folder / "srbench/images/interpolation.py")
        users = [path for path in folder.rglob("*.py") if "srbench.images.resize" in path.read_text(encoding="utf-8")]
        assert users
        for path in users:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("srbench.images.resize", "srbench.images.interpolation"), encoding="utf-8")

    assert stale(move) == set()


def test_split_file_makes_nothing_stale(stale: Callable[..., set[str]]) -> None:
    def split(folder: Path) -> None:
        path = folder / "srbench/images/resize.py"
        text = path.read_text(encoding="utf-8")
        start, end = text.index("def _cubic("), text.index("@lru_cache")
        kernel = f"import numpy as np\n\n\n{text[start:end]}".replace(": Floats", "").replace(" -> Floats", "")
        (folder / "srbench/images/kernel.py").write_text(kernel, encoding="utf-8")
        rest = (text[:start] + text[end:]).replace(
            "import numpy as np\n", "import numpy as np\n\nfrom srbench.images.kernel import _cubic\n", 1
        )
        path.write_text(rest, encoding="utf-8")

    assert stale(split) == set()


def test_package_instead_of_a_module_makes_nothing_stale(stale: Callable[..., set[str]]) -> None:
    def turn(folder: Path) -> None:
        (folder / "srbench/images/color").mkdir()
        (folder / "srbench/images/color.py").rename(folder / "srbench/images/color/luma.py")
        (folder / "srbench/images/color/__init__.py").write_text("from srbench.images.color.luma import *\n")
        for path in folder.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "from srbench.images.color import" in text:
                path.write_text(text.replace("srbench.images.color import", "srbench.images.color.luma import"))

    assert stale(turn) == set()


def test_coefficient_of_luma_makes_luma_metrics_and_luma_networks_stale(stale: Callable[..., set[str]]) -> None:
    edit = replaced("srbench/images/color.py", "65.481", "65.482")
    assert stale(edit) == {"edsr", "edsr psnr", "edsr luma of ntire", "ps", "luma rgb", "train luma"}


def test_padding_of_bicubic_makes_all_that_makes_lr_images_stale(stale: Callable[..., set[str]]) -> None:
    edit = replaced("srbench/images/resize.py", "2 * size - 1 - index", "2 * size - 2 - index")
    assert stale(edit) == EVERYTHING


def test_init_of_ps_makes_models_with_ps_stale(stale: Callable[..., set[str]]) -> None:
    edit = replaced("srbench_ps/bank.py", "nn.init.kaiming_normal_(bank.filters)", "nn.init.normal_(bank.filters)")
    assert stale(edit) == {"ps", "ps rgb", "train ps"}


def test_window_of_a_metric_makes_cells_with_that_metric_stale(stale: Callable[..., set[str]]) -> None:
    edit = replaced("srbench/metrics/ssim.py", "(size - 1) / 2", "size / 2")
    assert stale(edit) == {"edsr", "ps"}


def test_loss_of_the_training_makes_trainings_stale_and_no_figure_of_given_weights(
    stale: Callable[..., set[str]],
) -> None:
    edit = replaced("srbench/training/losses.py", "CHARBONNIER_EPSILON = 1e-3", "CHARBONNIER_EPSILON = 1e-2")
    assert stale(edit) == set(TRAININGS)


def test_rounding_of_the_evaluation_makes_cells_stale_and_no_training(stale: Callable[..., set[str]]) -> None:
    edit = replaced("srbench/models/image_batch.py", ".float().div(255)", ".float().div(256)")
    assert stale(edit) == set(CELLS)


def test_two_constants_exchanged_are_seen(stale: Callable[..., set[str]]) -> None:
    """Names do not count, so what is exchanged must show where it is used."""

    def edit(folder: Path) -> None:
        path = folder / "srbench/metrics/ssim.py"
        text = path.read_text(encoding="utf-8")
        assert "_BLOCK = 32" in text
        assert "_COLUMNS = 192" in text
        path.write_text(text.replace("_BLOCK = 32", "_BLOCK = 192").replace("_COLUMNS = 192", "_COLUMNS = 32"))

    assert stale(edit) == {"edsr", "ps"}


def test_digests_are_the_same_in_another_process_and_of_an_untouched_copy(
    original: Path, before: dict[str, str]
) -> None:
    assert digests(original) == before
    installed = {
        name: fingerprint.cell_code(
            parse(model), metrics=metrics, protocol=get_protocol(protocol), dataset=fingerprint.FOLDER
        )
        for name, (model, metrics, protocol) in CELLS.items()
    }
    assert {name: before[name] for name in CELLS} == installed
