"""Time listing with 200 additional plugins, and with eight broken ones, relative to the same command without them.

Bound: `srbench list methods` at most 1.2 (ratio of medians, interleaved runs). `srbench --help` must print the same
text, and listing must not import torch or a plugin. Exit status 1 if one is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 11
PLUGINS = 200
BOUND = 1.2
SRBENCH = str(Path(sys.executable).with_name("srbench"))
RANGE = "sr-bench>=0.1,<0.2"

_METHOD = "from srbench.plugin import SharingMethod\n\nclass Plugin(SharingMethod):\n    pass\n"
# Each with the name of its method, the requirement on sr-bench, and what its module does.
BROKEN = {
    "raises": ("raises", RANGE, "raise RuntimeError('broken')\n"),
    "sleeps": ("sleeps", RANGE, "import time\n\ntime.sleep(5)\n" + _METHOD),
    "prints": ("prints", RANGE, "print('noise')\n" + _METHOD),
    "exits": ("exits", RANGE, "raise SystemExit(3)\n"),
    "needs": ("needs", RANGE, "import a_package_that_is_missing\n" + _METHOD),
    "future": ("future", "sr-bench>=9", _METHOD),
    "taken": ("dense", RANGE, _METHOD),
    "typed": ("typed", RANGE, "Plugin = 3\n"),
}

_LIST = """
import sys
from srbench.cli import main
try:
    main(["list", "methods"])
except SystemExit:
    pass
print(" ".join({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def _install(folder: Path, name: str, method: str, requirement: str, source: str) -> None:
    """Write the metadata and the module of a distribution with one method."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    dist = name.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\nRequires-Dist: {requirement}\n")
    (info / "entry_points.txt").write_text(f"[srbench.methods]\n{method} = {name}_module:Plugin\n")
    (folder / f"{name}_module.py").write_text(source)


def install_many(folder: Path) -> None:
    """Write plugins with one method each, none of which can be imported."""
    for number in range(PLUGINS):
        _install(folder, f"many_{number}", f"many{number}", RANGE, "raise SystemExit('imported')\n")


def install_broken(folder: Path) -> None:
    """Write plugins that are broken in eight ways."""
    for name, (method, requirement, source) in BROKEN.items():
        _install(folder, f"broken_{name}", method, requirement, source)


def _environment(folder: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}


def call(folder: Path, *words: str) -> tuple[float, str]:
    """Return the duration and the output of a command."""
    start = time.perf_counter()
    ended = subprocess.run([SRBENCH, *words], check=True, capture_output=True, text=True, env=_environment(folder))
    return time.perf_counter() - start, ended.stdout


def imported(folder: Path) -> list[str]:
    """Return what listing imports and should not: torch, and modules of the folder."""
    command = [sys.executable, "-c", _LIST]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment(folder))
    unwanted = {"torch", *(path.stem for path in folder.glob("*.py"))}
    return sorted(unwanted & set(ended.stderr.splitlines()[-1].split()))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="srbench-plugins-") as parent:
        folders = {name: Path(parent, name) for name in ("without", "many", "broken")}
        for folder in folders.values():
            folder.mkdir()
        install_many(folders["many"])
        install_broken(folders["broken"])
        same_help = len({call(folder, "--help")[1] for folder in folders.values()}) == 1
        unwanted = {name: imported(folder) for name, folder in folders.items()}
        plain = call(folders["without"], "list", "methods")[1].split()
        added = {"without": 0, "many": PLUGINS, "broken": len(BROKEN) - 1}  # one has the name of a method of ours
        times: dict[str, list[float]] = {name: [] for name in folders}
        for round_number in range(ROUNDS + 1):
            for name, folder in folders.items():
                taken, printed = call(folder, "list", "methods")
                if len(printed.split()) != len(plain) + added[name]:
                    raise SystemExit(f"not all methods were listed {name}")
                if round_number:  # the first round fills the disk cache
                    times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    missed = not same_help or any(unwanted.values())
    print(
        f"srbench list methods without additional plugins, with {PLUGINS}, and with {len(BROKEN)} broken ones, "
        f"medians of {ROUNDS} interleaved runs"
    )
    for name, median in medians.items():
        ratio = median / medians["without"]
        verdict = "ok" if ratio <= BOUND else "MISSED"
        missed |= ratio > BOUND
        print(
            f"  {name:8} {median:6.3f} s ({min(times[name]):.3f} to {max(times[name]):.3f})"
            + ("" if name == "without" else f"  ratio {ratio:.3f}, bound {BOUND:.2f}: {verdict}")
        )
        if unwanted[name]:
            print(f"  {name:8} IMPORTED: {', '.join(unwanted[name])}")
    print(f"srbench --help: {'the same' if same_help else 'CHANGED'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
