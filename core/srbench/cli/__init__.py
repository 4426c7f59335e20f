"""The command line: one module per command.

A command's module imports typer and the standard library at its top and everything else inside the function that needs
it, so that `srbench --help` imports no torch (a test holds this).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import nullcontext
from typing import Any

from srbench.cli.result_stream import asks_for_json, only_results_on_stdout
from srbench.errors import SRBenchError
from srbench.registry.import_guard import Terminated

__all__ = ["main"]


INTERRUPTED = 130  # 128 + SIGINT, as in shells
TERMINATED = 143  # 128 + SIGTERM

# Commands with the C library's own settings: `cost` measures times and memory with them, and `list` runs no network.
# All others, plugins' too, may run networks for long.
MALLOC_DEFAULTS = ("cost", "list")

# Commands that keep finished work and resume when they are run again.
RESUMABLE = ("run", "train")


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit.

    The exit status is 0 for success, 1 if something failed while running, 2 for invalid input, 130 after
    Ctrl-C, 143 after SIGTERM.
    """
    before = _end_on_sigterm()
    try:
        from srbench.cli.app import app
        from srbench.compat.deferred_torchvision import defer_torchvision

        defer_torchvision()
        words = sys.argv[1:] if argv is None else argv
        if words and words[0] not in MALLOC_DEFAULTS and not words[0].startswith("-"):
            from srbench.machine import keep_freed_memory

            keep_freed_memory()
        with only_results_on_stdout() if asks_for_json(words) else nullcontext():
            app(args=argv, prog_name="srbench")
    except SRBenchError as error:
        _say(str(error))
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # raised silently by typer for Ctrl-C
            _interrupted(argv)
        elif end.code == TERMINATED:
            _interrupted(argv, "terminated")
        raise
    except KeyboardInterrupt:
        _interrupted(argv)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe: exit quietly, and suppress Python's complaint at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        # A deleted working directory, an inaccessible folder: no command checks for all of these.
        place = f"'{error.filename}'" if error.filename is not None else "a file or folder"
        _say(f"{place} cannot be used: {error.strerror or error}; correct it, or give another")
        sys.exit(2)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":  # what Python reads undecodable file names as
            raise
        _say(f"the name '{error.object}' is not UTF-8; rename the file")
        sys.exit(2)
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # what pathlib raises before Python 3.13
            raise
        _say(f"a link leads to itself ({error}); remove it, or give another path")
        sys.exit(2)
    except MemoryError:
        _say("there is not enough memory; give smaller images, --tile, or fewer --jobs")
        sys.exit(2)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _end_on_sigterm() -> Any:
    """Make SIGTERM end the command like Ctrl-C, without partial files; return the previous handler."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return None

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise Terminated(TERMINATED)

    return signal.signal(signal.SIGTERM, end)


def _say(message: str) -> None:
    """Print a message to standard error as one line."""
    from srbench.untrusted import escaped

    print(f"srbench: {escaped(message, limit=4000)}", file=sys.stderr)


def _interrupted(argv: list[str] | None, how: str = "interrupted") -> None:
    words = sys.argv[1:] if argv is None else argv
    ending = (
        "; what was finished is kept, run the same command again to resume." if words and words[0] in RESUMABLE else "."
    )
    _say(f"{how}{ending}")
