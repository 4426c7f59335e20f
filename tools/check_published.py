"""Check that all committed tables and pages match the committed results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "leaderboards"


def main() -> int:
    boards = sorted(path.parent for path in ROOT.glob("[!.]*/results"))
    commands = [["build", str(board / "results"), "--out", str(board)] for board in boards] + [["index", str(ROOT)]]
    failed = 0
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "srbench", "leaderboard", *command, "--check"], check=False)
        failed += done.returncode != 0
    print(f"{len(commands) - failed} of {len(commands)} up to date")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
