"""Collect the wheels and compressed images that `tools/gpu/run.py` needs on a machine without network access.

    python tools/gpu/prepare.py --data DATA [--out .gpu]

DATA contains `train/bsds400`, `train/t91`, `benchmark/Set5` and so on. Writes `.gpu/wheels/`, for CPython 3.12 on
x86-64 Linux, including this checkout and its plugins, and `.gpu/images/`. Git ignores the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60 * 2**20  # packing this many files for a transfer adds 5%

# Packages missing on a machine that has torch, torchvision, numpy, scipy, pandas, pyarrow, OpenCV, typer and similar.
WHEELS = (
    "addict", "annotated-types", "future", "lmdb", "lpips", "platformdirs", "pooch", "pydantic", "pydantic-core",
    "typing-inspection", "yapf",
)  # fmt: skip
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PLUGINS = ("pruning", "ps", "sparse_mask", "tied_tconv", "zoo")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and benchmark/")
    parser.add_argument("--out", type=Path, default=ROOT / ".gpu")
    parser.add_argument("--sets", default="bsds400,t91,Set5", help="some of bsds400, t91, Set5, Set14, BSD100")
    parser.add_argument("--only", choices=("wheels", "images"), help="prepare only one of the two")
    chosen = parser.parse_args()
    if chosen.only != "images":
        make_wheels(chosen.out / "wheels")
    if chosen.only != "wheels":
        pack_images(chosen.data, chosen.out / "images", chosen.sets.split(","))
    return tell_size(chosen.out)


def make_wheels(folder: Path) -> None:
    """Download wheels of the versions installed here; build those of basicsr and this checkout."""
    from importlib.metadata import version

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip"]
    target = ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    target += [part for platform in PLATFORMS for part in ("--platform", platform)]
    wanted = [f"{name}=={version(name)}" for name in WHEELS]
    subprocess.run([*pip, "download", "-q", "--no-deps", *target, "-d", str(folder), *wanted], check=True)
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    for source in (f"basicsr=={version('basicsr')}", str(ROOT), *(str(ROOT / "plugins" / name) for name in PLUGINS)):
        subprocess.run([*build, source], check=True)


def pack_images(data: Path, folder: Path, names: list[str]) -> None:
    """Copy JPEG files, convert all others to lossless WebP, and record the hashes of their pixels."""
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    hashes: dict[str, str] = {}
    for name in names:
        source = next(data / kind / name for kind in ("train", "benchmark") if (data / kind / name).is_dir())
        (folder / name).mkdir(parents=True)
        inside = source / "HR" if (source / "HR").is_dir() else source
        for file in sorted(inside.iterdir()):
            if file.suffix.lower() not in (".jpg", ".jpeg", ".png", ".bmp"):
                continue
            if file.suffix.lower() in (".jpg", ".jpeg"):
                packed = Path(shutil.copy(file, folder / name / file.name))
            else:
                packed = folder / name / f"{file.stem}.webp"
                with Image.open(file) as picture:
                    if picture.mode == "L":  # WebP has no grey images, and protocols treat grey images differently
                        packed = packed.with_suffix(".png")
                        picture.save(packed, optimize=True)
                    else:
                        picture.convert("RGB").save(packed, lossless=True, quality=100, method=6, exact=True)
            hashes[f"{name}/{packed.name}"] = pixels(packed)
            if packed.suffix != ".jpg" and pixels(file) != hashes[f"{name}/{packed.name}"]:
                raise SystemExit(f"{packed} has other pixels than {file}")
    (folder / "pixels.json").write_text(json.dumps(hashes, indent=0))


def pixels(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        image = picture.convert("RGB")
        return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def tell_size(folder: Path) -> int:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    files = [ROOT / name.decode() for name in tracked.split(b"\0") if name]
    tree = sum(file.stat().st_size for file in files if file.exists())
    sizes = {
        part.name: sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        for part in sorted(folder.iterdir())
        if part.is_dir()
    }
    carried = tree + sizes.get("wheels", 0) + sizes.get("images", 0)
    for name, size in {"checkout": tree, **sizes, "all that travels": carried}.items():
        print(f"{name:18} {size / 2**20:6.1f} MiB")
    if carried > LIMIT:
        print(f"more than {LIMIT // 2**20} MiB; tools/gpu/README.md says how to leave the leaderboards out")
    return int(carried > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
