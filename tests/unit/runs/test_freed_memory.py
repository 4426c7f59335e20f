"""Freed memory is kept for the next tensors, in processes that run networks for long."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A layer's output of 48 MiB, made and freed 50 times; prints how many pages the kernel handed out.
SCRIPT = """
import resource, sys
import torch
from srbench.machine import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(50):
    torch.ones(12, 1024, 1024)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_of_freed_tensors_are_used_again() -> None:
    def faults(how: str) -> int:
        ended = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        return int(ended.stdout)

    given, kept = faults("given back"), faults("kept")
    # malloc needs some blocks more than one, since aligned blocks split others.
    assert kept < given / 3, f"{kept} page faults where freed memory is kept, {given} where it is given back"


# The same after a command, without torch: Python's large blocks come from malloc too.
AFTER_A_COMMAND = """
import contextlib, resource, sys
from srbench.cli import main
with contextlib.suppress(SystemExit):
    main(sys.argv[1:])
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(50):
    bytearray(48 << 20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_commands_of_plugins_keep_freed_memory_and_cost_does_not() -> None:
    def faults(command: str) -> int:
        words = [sys.executable, "-c", AFTER_A_COMMAND, command, "--help"]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
        return int(ended.stdout.splitlines()[-1])

    given = faults("cost")
    for command in ("swap", "diagnose"):
        assert faults(command) < given / 3
