"""Run all timing scripts of this folder in sequence; exit status 1 if one missed its bound.

Arguments select scripts by name: `tox run -e bench -- imports metrics`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(chosen: list[str]) -> int:
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.stem not in ("run_all", "__init__")}
    if unknown := sorted(set(chosen) - set(scripts)):
        print(f"no timing script {', '.join(unknown)}; available: {', '.join(scripts)}", file=sys.stderr)
        return 2
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start", flush=True)
    failed = []
    for name in chosen or scripts:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, str(scripts[name])], check=False).returncode:
            failed.append(name)
    print(f"\nmissed its bound or failed: {', '.join(failed)}" if failed else "\nall bounds met")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
