"""Read untrusted files: only regular files, with bounded size and nesting depth.

Every file that a user, a download or another program may have put in place is read through this module, so that a
pipe, a device, a huge file or an exponentially expanding text is refused with a message before it costs anything.
Importing this module needs only the standard library.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from srbench.errors import ConfigError, DataError, SRBenchError

__all__ = [
    "CHECKPOINT_LIMIT",
    "DEPTH_LIMIT",
    "IMAGE_LIMIT",
    "TEXT_LIMIT",
    "check_archive",
    "check_expansion",
    "check_regular",
    "escaped",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "read_text",
    "user_path",
]

MIB = 2**20
TEXT_LIMIT = 16 * MIB
"""Largest text file in bytes: suites, recipes, lists, records."""

IMAGE_LIMIT = 512 * MIB
"""Largest image file in bytes."""

CHECKPOINT_LIMIT = 16 * 1024 * MIB
"""Largest weights file or training checkpoint in bytes."""

DEPTH_LIMIT = 64
"""Deepest nesting of lists and mappings in a JSON or YAML text."""

VALUES_LIMIT = 100_000
"""Most values in a YAML text with its aliases expanded; the largest of our suites has 600."""

# Tolerance in bytes for the table of contents of an uncompressed archive.
_ARCHIVE_SLACK = MIB

_CHUNK = 16 * MIB  # read at a time beyond the size that a file claims
_NAME_LIMIT = 255  # bytes of one part of a path: that of nearly all file systems
_PATH_LIMIT = 4096

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def user_path(text: str | Path, what: str = "path", error: type[SRBenchError] = ConfigError) -> Path:
    """Expand `~` in a path given by a user.

    Args:
        text: The path.
        what: What it is, for the message.
        error: What is raised.

    Raises:
        SRBenchError: The path is invalid: an unknown user's home folder, a name that is too long, bytes that are not
            UTF-8, or a NUL character.
    """
    spelled = str(text)
    if "\0" in spelled:
        raise error(f"the {what} '{escaped(spelled)}' contains a NUL character, which file names cannot have")
    try:
        size = len(spelled.encode())
    except UnicodeEncodeError:
        raise error(f"the {what} '{escaped(spelled)}' is not valid UTF-8; rename the file") from None
    if size > _PATH_LIMIT or any(len(part.encode()) > _NAME_LIMIT for part in Path(spelled).parts):
        raise error(
            f"the {what} '{escaped(spelled[:40])}...' is too long for a file system: a name has at most {_NAME_LIMIT} "
            f"bytes, a path {_PATH_LIMIT:,}"
        )
    try:
        return Path(spelled).expanduser()
    except RuntimeError:
        user = escaped(Path(spelled).parts[0].removeprefix("~"))
        raise error(
            f"the {what} '{escaped(spelled)}' is in the home folder of '{user}', and there is no such user"
        ) from None


def check_regular(path: Path, limit: int, what: str, error: type[SRBenchError] = DataError) -> int:
    """Return the size in bytes of a file that may be read.

    Args:
        path: The file; links are followed.
        limit: Its largest allowed size in bytes.
        what: The kind of file, for the message.
        error: The class of the error.

    Raises:
        SRBenchError: The file is missing, inaccessible, not a regular file or larger than the limit.
    """
    try:
        status = path.stat()
    except OSError as problem:
        raise _unreadable(path, what, problem, error) from None
    return _check(status, path, limit, what, error)


def read_bytes(
    path: Path, *, limit: int = TEXT_LIMIT, what: str = "file", error: type[SRBenchError] = DataError
) -> bytes:
    """Return the content of a regular file.

    Args: as for `check_regular`.

    Raises:
        SRBenchError: As for `check_regular`, or the file cannot be read.
    """
    try:
        # A pipe without a writer would otherwise block here.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as problem:
        raise _unreadable(path, what, problem, error) from None
    except ValueError as problem:
        raise error(f"the {what} '{escaped(str(path))}' cannot be read: {problem}") from None
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        size = _check(os.fstat(descriptor), path, limit, what, error)
        try:
            content = stream.read(size + 1)  # a buffer as large as the limit would take longer to make than to fill
            # The file has grown, or is one of those in /proc, whose size is 0; or it has more than 2 GiB.
            while len(content) <= limit and (more := stream.read(_CHUNK)):
                content += more
        except OSError as problem:
            raise _unreadable(path, what, problem, error) from None
    if len(content) > limit:
        raise _too_large(path, len(content), limit, what, error)
    return content


def read_text(path: Path, *, limit: int = TEXT_LIMIT, what: str = "file", error: type[SRBenchError] = DataError) -> str:
    """Return the content of a regular text file in UTF-8.

    Raises:
        SRBenchError: As for `read_bytes`, or it is no text.
    """
    try:
        return read_bytes(path, limit=limit, what=what, error=error).decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"the {what} '{escaped(str(path))}' is not a text file in UTF-8") from None


def check_archive(path: Path, error: type[SRBenchError] = DataError) -> None:
    """Refuse a `torch.save` file that expands to much more than its size; torch.save never compresses.

    Args:
        path: The file; one that is not a ZIP archive passes.
        error: What is raised.

    Raises:
        SRBenchError: The file expands to much more.
        OSError, ValueError, zipfile.BadZipFile: It cannot be read, or its table of contents is damaged.
    """
    import zipfile

    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if unpacked > size + _ARCHIVE_SLACK:
        raise error(
            f"'{escaped(str(path))}' has {size:,} bytes and would unpack to {unpacked:,}, which no file of torch.save "
            "does; give the original file"
        )


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text nested at most `DEPTH_LIMIT` levels deep.

    Raises:
        ValueError: The text is not JSON, or is nested deeper.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON nested more than {DEPTH_LIMIT} levels deep") from None
    level, depth = [value], 0
    while level := [
        item
        for outer in level
        if isinstance(outer, dict | list)
        for item in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        if depth > DEPTH_LIMIT:
            raise ValueError(f"JSON nested more than {DEPTH_LIMIT} levels deep")
    return value


def parse_yaml(text: str, label: str, error: type[SRBenchError] = ConfigError) -> Any:
    """Parse a YAML text with its aliases expanded to at most `VALUES_LIMIT` values.

    Args:
        text: The text.
        label: Name of the text in messages.
        error: The class of the error.

    Raises:
        SRBenchError: The text is not YAML, is nested too deeply or expands to too much.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            check_expansion(root, label, error)
        return yaml.safe_load(text)
    except RecursionError:
        raise error(f"{label} is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as problem:  # such as a date that no calendar has
        raise error(f"{label} is not YAML: {' '.join(str(problem).split())}") from None


def check_expansion(root: Any, label: str, error: type[SRBenchError] = ConfigError) -> None:
    """Refuse deep YAML, and aliases that multiply: a few lines can expand to more values than fit into memory.

    Args:
        root: The node that `yaml.compose` returned.
        label: Name of the text in messages.
        error: The class of the error.

    Raises:
        SRBenchError: The text has more than `VALUES_LIMIT` values with its aliases expanded, is nested more than
            `DEPTH_LIMIT` levels deep, or a part contains itself.
    """
    measured: dict[int, tuple[int, int]] = {}
    unfinished: set[int] = set()

    def measure(node: Any) -> tuple[int, int]:
        """Return the number of values and of levels, aliases expanded."""
        if id(node) in unfinished:
            raise error(f"{label}, line {node.start_mark.line + 1}: this part contains itself.")
        if id(node) not in measured:
            unfinished.add(id(node))
            value = node.value if isinstance(node.value, list) else None
            inner = [measure(part) for item in value or () for part in (item if isinstance(item, tuple) else (item,))]
            levels = 0 if value is None else 1 + max((depth for _, depth in inner), default=0)
            measured[id(node)] = 1 + sum(count for count, _ in inner), levels
            unfinished.discard(id(node))
        return measured[id(node)]

    total, levels = measure(root)
    if total > VALUES_LIMIT:
        raise error(f"{label} expands to {total:,} values through its aliases; at most {VALUES_LIMIT:,} are read.")
    if levels > DEPTH_LIMIT:
        raise error(f"{label} is nested {levels} levels deep; at most {DEPTH_LIMIT} are read.")


def escaped(text: str, limit: int = 1000) -> str:
    """Return a text as one line that is safe to print: control characters and invalid bytes are escaped.

    Args:
        text: Any text.
        limit: Maximum number of characters; a longer text is cut in the middle.
    """
    if len(text) > limit:
        text = f"{text[: limit // 2]}[... {len(text) - limit:,} characters ...]{text[-(limit // 2) :]}"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def _check(status: os.stat_result, path: Path, limit: int, what: str, error: type[SRBenchError]) -> int:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise error(f"the {what} '{escaped(str(path))}' is {kind}; give a regular file")
    if status.st_size > limit:
        raise _too_large(path, status.st_size, limit, what, error)
    return status.st_size


def _too_large(path: Path, size: int, limit: int, what: str, error: type[SRBenchError]) -> SRBenchError:
    return error(f"the {what} '{escaped(str(path))}' has {size:,} bytes; at most {limit:,} are read")


def _unreadable(path: Path, what: str, problem: OSError, error: type[SRBenchError]) -> SRBenchError:
    return error(f"the {what} '{escaped(str(path))}' cannot be read: {problem.strerror or problem}")
