"""What no file of the repository may hold: a machine's own paths, or where its packages come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A path that begins in somebody's home, or where machines keep their own things; not "/usr/bin/env" and not "a/home/b".
MACHINE_PATH = re.compile(r"(?<![\w.*)}\]>-])/(?:root|home|Users|work|opt|mnt|data)/[\w.-]+")
ADDRESS = re.compile(r"\b(?:https?|ftp|git|ssh)://[^\s'\"<>)\]`|]+")
# Where packages come from is the machine's affair (pip's own settings), and differs between machines.
REGISTRY = re.compile(r"pypi|pythonhosted|conda|npmjs|artifactory|nexus|mirror|registry")
INDEX_OPTION = re.compile(r"--(?:extra-)?index-url|--trusted-host|PIP_(?:EXTRA_)?INDEX_URL\s*=")


def tracked_texts() -> list[tuple[str, str]]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    texts = []
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            texts.append((name, content.decode("utf-8", errors="replace")))
    return texts


def test_no_tracked_file_names_a_machine_path() -> None:
    found = [f"{name}: {match[0]}" for name, text in tracked_texts() for match in MACHINE_PATH.finditer(text)]
    assert found == []


def test_no_tracked_file_names_a_package_registry() -> None:
    own = Path(__file__).resolve().relative_to(ROOT).as_posix()
    found = set()
    for name, text in tracked_texts():
        if name == own or (name.startswith("leaderboards/") and name.endswith(".html")):
            continue  # a page carries the plotting library's own script
        hosts = {urlsplit(match[0].rstrip(".,;")).hostname or "" for match in ADDRESS.finditer(text)}
        found |= {f"{name}: {host}" for host in hosts if REGISTRY.search(host)}
        found |= {f"{name}: {match[0]}" for match in INDEX_OPTION.finditer(text)}
    assert sorted(found) == []


def test_machine_path_pattern_finds_what_it_should() -> None:
    prefix = "/"  # written apart, so that this file does not hold what it looks for
    assert MACHINE_PATH.search(f"see {prefix}home/someone/file")
    assert MACHINE_PATH.search(f'"{prefix}root/x"')
    assert not MACHINE_PATH.search("#!/usr/bin/env bash")
    assert not MACHINE_PATH.search("benchmarks/data/x and a/home/b")
