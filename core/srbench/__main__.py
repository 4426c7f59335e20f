"""Run the `srbench` command with `python -m srbench`."""

from __future__ import annotations

from srbench.cli import main

if __name__ == "__main__":
    main()
