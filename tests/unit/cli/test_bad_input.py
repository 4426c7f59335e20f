"""Bad input, for every command: one sentence that names the culprit, exit status 2, and nothing written.

The commands run in this process, through the same `main` as on the command line; what they refuse needs no process of
its own. Full disks, which do, are at the end.
"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srbench
from srbench.cli import main
from srbench.models.weight_files import save_state

EVAL = "eval {model} --scale 2 --data images --protocol matlab-y"
TRAIN = "train {model} --data images --scale 2 --iterations 1 --gt-size 8 --out out"
WEIGHTS = EVAL.format(model="edsr_tiny") + " --weights "
BICUBIC = EVAL.format(model="bicubic")
TINY = TRAIN.format(model="edsr_tiny")


class _Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def _image(path: Path, height: int = 24, width: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of good and bad files, read by all tests and written by none."""
    root = tmp_path_factory.mktemp("bad-input")
    _image(root / "images" / "one.png")
    _image(root / "truncated" / "one.png")
    path = root / "truncated" / "one.png"
    path.write_bytes(path.read_bytes()[:-40])
    _image(root / "lonely" / "HR" / "one.png")
    _image(root / "lonely" / "LR_bicubic" / "X2" / "onex2.png", 12, 16)
    _image(root / "lonely" / "LR_bicubic" / "X2" / "twox2.png", 12, 16)
    _image(root / "twice" / "one.png")
    _image(root / "twice" / "one.bmp")
    _image(root / "dot" / "one.png", 1, 1)
    (root / "empty").mkdir()
    (root / "texts").mkdir()
    (root / "texts" / "notes.txt").write_text("no image\n")
    (root / "file").write_text("a file\n")
    (root / "empty.yaml").write_text("")
    (root / "list.yaml").write_text("- bicubic\n")
    (root / "broken.yaml").write_text("name: [\n")
    good = "name: s\nscale: 2\ndatasets: [images]\nprotocol: matlab-y\n"
    (root / "key.yaml").write_text(good + "models: [bicubic]\nmetrcs: [psnr_y]\n")
    (root / "model.yaml").write_text(good + "models: [bicubc]\n")
    (root / "shape.yaml").write_text(
        good + 'models: ["edsr_tiny+ps(shape=5x16x1x1)"]\ntrain: {data: images, iterations: 1, gt_size: 8}\n'
    )
    (root / "data.yaml").write_text(good.replace("images", "truncated") + "models: [bicubic]\n")
    (root / "recipe.yaml").write_text("iteratoins: 3\n")
    (root / "text.pth").write_text("no checkpoint\n")
    (root / "empty.pth").write_bytes(b"")
    tiny = srbench.create_model("edsr_tiny", scale=2, seed=1)
    save_state(tiny, root / "tiny.safetensors")
    (root / "cut.safetensors").write_bytes((root / "tiny.safetensors").read_bytes()[:9000])
    torch.save(tiny.state_dict(), root / "tiny.pth")
    (root / "cut.pth").write_bytes((root / "tiny.pth").read_bytes()[:9000])
    content = {"params": tiny.state_dict(), "extra": _Code(root / "it-ran")}
    torch.save(content, root / "code.pth")
    torch.save(content, root / "old-code.pth", _use_new_zipfile_serialization=False)
    save_state(srbench.create_model("edsr_baseline", scale=2, seed=1), root / "baseline.safetensors")
    return root


def _listing(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))}


CASES = [
    # names that are unknown
    ("run --suite quickstrat", "unknown suite 'quickstrat'; did you mean 'quickstart'?"),
    ("run --suite none.yaml", "no suite file 'none.yaml'"),
    ("run --suite quickstart --models 'zzz*'", "no model of suite 'quickstart' matches 'zzz*'"),
    ("run --suite quickstart --datasets Set55", "no data set 'Set55'"),
    (EVAL.format(model="edsr_tin"), "unknown backbone 'edsr_tin'; did you mean 'edsr_tiny'?"),
    (EVAL.format(model="edsr_tiny+pss"), "unknown method 'pss'; did you mean 'ps'?"),
    (EVAL.format(model="'edsr_tiny+ps(ratoi=1/2)'"), "no argument 'ratoi'; did you mean 'ratio'?"),
    (EVAL.format(model="drrn_b1u9+ps.authr"), "did you mean 'drrn_b1u9+ps.author'?"),
    (TRAIN.format(model="edsr_tin"), "unknown backbone 'edsr_tin'; did you mean 'edsr_tiny'?"),
    (TRAIN.format(model="edsr_tiny+pss"), "unknown method 'pss'; did you mean 'ps'?"),
    (TRAIN.format(model="'edsr_tiny+ps(ratoi=1/2)'"), "no argument 'ratoi'; did you mean 'ratio'?"),
    (TRAIN.format(model="drrn_b1u9+ps.author"), "leave the tag out"),
    (BICUBIC.replace("matlab-y", "matlab"), "unknown protocol 'matlab'; did you mean 'matlab-y'?"),
    (BICUBIC + " --images oen", "has no image that matches 'oen'; did you mean 'one'?"),
    (BICUBIC + " --images ,", "give at least one image's name or glob"),
    (BICUBIC + " --metrics psnr_x", "unknown metric 'psnr_x'; did you mean 'psnr"),
    (BICUBIC + " --metrics ,", "no metric to compute"),
    (BICUBIC.replace("images", "Set55"), "unknown data set 'Set55'"),
    (TINY + " --protocol matlab", "unknown protocol 'matlab'; did you mean 'matlab-y'?"),
    (TINY + " --val nowhere", "unknown data set 'nowhere'"),
    ("explain matlab", "did you mean 'matlab-y'?"),
    ("data info Set55", "no folder of that name here or in SRBENCH_DATA; did you mean 'Set5'?"),
    ("data download Set55", "unknown data set 'Set55'"),
    ("data verify images --protocol matlab", "unknown protocol 'matlab'"),
    ("list modles", "'modles' is not one of 'models'"),
    ("runn --suite quickstart", "no such command 'runn'"),
    ("cache ad", "no such command 'ad'; did you mean 'add'? see `srbench cache --help`"),
    ("doctor", "no such command 'doctor'; did you mean `srbench plugins doctor`?"),
    ("run --suit quickstart", "no such option: --suit"),
    ("run", "missing option '--suite'"),
    ("explain", "say which protocol to explain"),
    # keys and files of suites and recipes
    ("run --suite key.yaml --out out", "unknown key 'metrcs'"),
    ("run --suite model.yaml --out out", "did you mean 'bicubic'?"),
    ("run --suite shape.yaml --out out", "'body.0.conv1': 5 does not divide its input channels, 16"),
    ("run --suite data.yaml --out out", "one.png' is damaged or truncated"),
    ("run --suite empty.yaml --out out", "empty.yaml"),
    ("run --suite list.yaml --out out", "list.yaml"),
    ("run --suite broken.yaml --out out", "broken.yaml"),
    (TINY + " --recipe recipe.yaml", "iteratoins"),
    (TINY + " --recipe empty.yaml", "empty.yaml must be a mapping"),
    # model names, hostile to a shell too
    (EVAL.format(model="'edsr_tiny;touch pwned'"), "';touch pwned'"),
    (EVAL.format(model="'$(touch pwned)'"), "'$(touch pwned)' is not a model name"),
    (EVAL.format(model="../../etc/passwd"), "'../../etc/passwd' is not a model name"),
    (TRAIN.format(model="'edsr_tiny|touch pwned'"), "'|touch pwned'"),
    (TRAIN.format(model="../out"), "'../out' is not a model name"),
    (TRAIN.format(model="''"), "'' is not a model name"),
    # arguments of methods
    *(
        (command.format(model=f"'edsr_tiny+ps(ratio={ratio})'"), f"ratio={ratio} is not in (0, 1]")
        for command in (EVAL + " --weights tiny.pth", TRAIN)
        for ratio in ("0", "2", "abc", "-1")
    ),
    (TRAIN.format(model="'edsr_tiny+ps(ratio=1/0)'"), "divides by zero"),
    (TRAIN.format(model="'edsr_tiny+ps(ratio=1/1000)'"), "leaves no partial filter"),
    (TRAIN.format(model="'edsr_tiny+ps(num_filters=73)'"), "exceeds the 72 tiles"),
    (TRAIN.format(model="'edsr_tiny+ps(shape=5x16x1x1)'"), "'body.0.conv1': 5 does not divide its input channels, 16"),
    (TRAIN.format(model="'edsr_tiny+ps(shape=CxCx2x1)'"), "'body.0.conv1': 2 does not divide its kernel height, 3"),
    (TRAIN.format(model="'edsr_tiny+ps(shape=square)'"), "shape=square is not a partial-filter shape"),
    (EVAL.format(model="'edsr_tiny+ps(shape=16x7x1x1)'") + " --weights tiny.pth", "7 does not divide its output"),
    (EVAL.format(model="bicubic+ps"), "'bicubic' declares none"),
    # scales
    *(
        (f"eval edsr_tiny --scale {scale} --data images --protocol matlab-y --weights tiny.pth", words)
        for scale, words in (("0", "'--scale'"), ("-1", "'--scale'"), ("1.5", "'--scale'"), ("5", "got 5"))
    ),
    *(
        (f"train edsr_tiny --data images --scale {scale} --iterations 1 --gt-size 60 --out out", words)
        for scale, words in (("0", "got [0]"), ("-1", "got [-1]"), ("1.5", "'--scale'"), ("5", "got 5"))
    ),
    (TINY.replace("--scale 2", "--scales 2,4"), "one scale of 2, 3, 4"),
    (EVAL.format(model="drrn_b1u9+ps.author").replace("--scale 2", "--scale 8"), "scale 8 was asked for"),
    ("explain matlab-y --scale 9", "'--scale'"),
    ("data verify images --scale 0", "'--scale'"),
    ("data verify images --scale 2", "no LR images of scale 2"),
    # images
    *(
        (command.replace("images", folder), words)
        for command in (BICUBIC, TINY, "data info images")
        for folder, words in (
            ("empty", "there are no images in 'empty'"),
            ("texts", "there are no images in 'texts'"),
            ("file", "'file' is a file"),
            ("twice", "'twice/one.bmp' and 'one.png'"),
            ("truncated", "'truncated/one.png' is damaged or truncated"),
            ("lonely", "LR_bicubic/X2/twox2.png"),
        )
    ),
    (BICUBIC.replace("images", "dot"), "1x1 pixels"),
    (TINY.replace("images", "dot"), "smaller than gt_size 8: one"),
    (BICUBIC + " --lr shipped", "'images' holds no LR images of scale 2"),
    ("cache add nowhere", "'nowhere' does not exist"),
    ("cache add images", "nothing was added: 'images/one.png' is not known"),
    ("cache add truncated", "'truncated/one.png' is damaged or truncated"),
    ("cache add empty", "nothing was added"),
    # weights
    (EVAL.format(model="edsr_tiny"), "--weights FILE"),
    (WEIGHTS + "none.pth", "no weights file at 'none.pth'"),
    (WEIGHTS + "images", "'images' is a folder"),
    (
        WEIGHTS + "baseline.safetensors",
        "for 'edsr_baseline' (x2), not for 'edsr_tiny' (x2); 48 unexpected: body.10.",
    ),
    (WEIGHTS.replace("edsr_tiny", "edsr_baseline") + "tiny.pth", "48 missing: body.4.conv1.weight"),
    (WEIGHTS.replace("--scale 2", "--scale 3") + "tiny.safetensors", "upsample.0.weight is 64x16x3x3 instead of"),
    (WEIGHTS.replace("--scale 2", "--scale 3") + "tiny.pth", "upsample.0.weight is 64x16x3x3 instead of 144x16x3x3"),
    (WEIGHTS + "text.pth", "'text.pth' is damaged, or no checkpoint"),
    (WEIGHTS + "empty.pth", "'empty.pth' is empty"),
    (WEIGHTS + "cut.pth", "'cut.pth' is damaged"),
    (WEIGHTS + "cut.safetensors", "'cut.safetensors' is a damaged safetensors file"),
    (WEIGHTS + "images/one.png", "'images/one.png' is damaged, or no checkpoint"),
    (WEIGHTS + "code.pth", "'code.pth' was refused: reading it would call '"),
    (WEIGHTS + "old-code.pth", "'old-code.pth' was refused: reading it would call '"),
    # no network
    (BICUBIC.replace("images", "Set5"), "srbench cache add PATH"),
    (EVAL.format(model="drrn_b1u9+ps.author"), "'drrnps.pth'"),
    (TINY.replace("images", "Set14"), "srbench cache add PATH"),
    ("data download Set5", "'Set5/baby'"),
    ("run --suite efficient-x2 --datasets Set5 --models bicubic --out out", "srbench cache add PATH"),
    # where nothing can be written
    *(
        (f"{command} --json {target}", words)
        for command in (
            BICUBIC,
            TINY,
            "explain matlab-y",
            "data info images",
            "data list",
            "data verify images",
            "cache list",
            "cache path",
            "list models",
            "plugins doctor",
            "run --suite quickstart --dry-run",
        )
        for target, words in (("images", "'images'"), ("file/x.json", "file/x.json"))
    ),
    (BICUBIC + " --json ''", "--json takes a file"),
    (TINY.replace("--out out", "--out file"), "'file' could not be written"),
    (BICUBIC + " --save-images file", "'file' is a file"),
    ("run --suite quickstart --out file", "file"),
    ("leaderboard build nowhere", "no run in 'nowhere'"),
    ("leaderboard build empty", "'empty' holds no finished results"),
    ("leaderboard build file", "no run in 'file'"),
    ("leaderboard show nowhere", "no run in 'nowhere'"),
    ("leaderboard index nowhere", "no directory 'nowhere'"),
    # numbers and devices
    (BICUBIC + " --threads 0", "'--threads'"),
    (TINY + " --threads 0", "threads=0 is not a whole number of at least 1"),
    ("run --suite quickstart --threads 0", "'--threads'"),
    ("run --suite quickstart --jobs 0", "'--jobs'"),
    (TINY.replace("--iterations 1", "--iterations 0"), "'iterations' is 0"),
    (TINY + " --lr nan", "'lr' is nan"),
    (TINY.replace("--gt-size 8", "--gt-size 7"), "gt_size 7 is not a multiple of scale 2"),
    *((f"{command} --device gpu", "'gpu'") for command in (BICUBIC, TINY, "run --suite quickstart")),
    *((f"{command} --device meta", "meta") for command in (BICUBIC, TINY, "run --suite quickstart")),
]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line for line, _ in CASES])
def test_one_sentence_status_2_and_nothing_written(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    words: str,
) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there: no network
    before = _listing(made)
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert said.startswith("srbench: "), said
    assert said.count("\n") == 1, said
    assert words in said
    assert len(said) < 1500
    assert "Traceback" not in said
    assert _listing(made) == before
    # The cache may have learnt the pixel hash of a good image, which is true whatever was wrong beside it.
    learnt = tmp_path / "cache" / "decoded"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(learnt)] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", [BICUBIC, TINY, "run --suite quickstart --out out"])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, device: str
) -> None:
    monkeypatch.chdir(made)
    before = _listing(made)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(command), "--device", device])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert device in said
    assert said.count("\n") == 1
    assert _listing(made) == before


def test_what_may_not_be_read_or_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _image(tmp_path / "images" / "one.png")
    (tmp_path / "images" / "one.png").chmod(0)
    if os.access(tmp_path / "images" / "one.png", os.R_OK):
        pytest.skip("this user may read and write everything")
    for line in (BICUBIC, f"{BICUBIC} --json images/x.json", "data info images", "cache add images"):
        (tmp_path / "images").chmod(0o555)
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        said = capsys.readouterr().err
        assert (ended.value.code, said.count("\n")) == (2, 1), said
        assert "images" in said
    (tmp_path / "images").chmod(0o755)


def test_a_device_as_json_target_is_written_to_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["list", "suites", "--json", "pipe"])
    assert not ended.value.code
    output, _ = reader.communicate(timeout=20)
    assert '"quickstart"' in output
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_as_json_target_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    with pytest.raises(SystemExit) as ended:
        main(["list", "suites", "--json", str(tmp_path / "link.json")])
    assert not ended.value.code
    assert (tmp_path / "link.json").is_symlink()
    assert '"quickstart"' in (tmp_path / "real.json").read_text()


@pytest.mark.parametrize(
    ("line", "limit"),
    [(BICUBIC + " --json big.json", 100), (BICUBIC + " --save-images sr", 100), ("list models --json big.json", 10)],
)
def test_a_full_disk_is_a_sentence_and_leaves_no_part_of_a_file(tmp_path: Path, line: str, limit: int) -> None:
    # A limit on file size stands for the full disk: the kernel refuses the write in the same place.
    _image(tmp_path / "images" / "one.png")
    before = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    done = subprocess.run(
        [sys.executable, "-c", "from srbench.cli import main; main()", *shlex.split(line)],
        env={**os.environ, "SRBENCH_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("srbench: ")
    assert "could not be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == before
