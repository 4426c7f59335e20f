"""Let `python -m srbench` be the `srbench` command."""

from __future__ import annotations

from srbench.cli import main

if __name__ == "__main__":
    main()
