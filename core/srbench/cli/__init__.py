"""The command line: one module per command.

A command's module imports typer and the standard library at its top and everything else inside the function that needs
it, so that `srbench --help` imports no torch (a test holds this).
"""

from __future__ import annotations

import os
import sys

from srbench.errors import SRBenchError

__all__ = ["main"]


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 something failed while running, 2 the input was wrong."""
    from srbench.cli.app import app

    try:
        app(args=argv, prog_name="srbench")
    except SRBenchError as error:
        print(f"srbench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("srbench: interrupted; what was finished is kept, run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) went away; leave quietly, and keep Python from complaining at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
