"""Download one file: by its hash, within a size and a time, from one of several places."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.errors import NetworkError
from srbench.storage import disk_errors
from srbench.untrusted import CHECKPOINT_LIMIT

__all__ = ["LEAST_SPEED", "download"]

_TIMEOUT_S = 30  # without an answer, or without a byte
_CHUNK = 2**16

LEAST_SPEED = 10_000
"""Bytes a second below which, over the whole file, a download is ended."""


class _TooMuchError(Exception):
    """A server sent more than the file has, or took too long; the message says which."""


def download(urls: Sequence[str], sha256: str, name: str, size: int | None, folder: Path) -> Path:
    """Download a file, checking its hash, and return where it is in the folder.

    Args:
        urls: Where it is published; each is tried in turn.
        sha256: What its content must hash to.
        name: What to call it in messages.
        size: Its size in bytes, where it is known: a server that sends more is not listened to further.
        folder: Where it is put; the caller removes it.

    Raises:
        NetworkError: No place gave the file; the message names each place with the reason, and how to add it by hand.
        StoreError: The folder cannot be written to.
    """
    import logging

    import pooch
    import requests

    # pooch announces each download on the terminal; the caller has a progress bar for that.
    pooch.get_logger().setLevel(logging.ERROR)
    reasons = []
    for number, url in enumerate(urls):
        target = f"download-{number}"
        try:
            return Path(
                pooch.retrieve(
                    url, known_hash=f"sha256:{sha256}", path=folder, fname=target, downloader=_Downloader(size)
                )
            )
        except _TooMuchError as error:
            reasons.append((url, str(error)))
        except requests.RequestException as error:
            reasons.append((url, _reason(error)))
        except ValueError:
            reasons.append((url, "what came has another hash, and was thrown away"))
        except OSError as error:
            with disk_errors(folder):
                raise error
    length = f", {size:,} bytes" if size is not None else ""
    ways = "; ".join(f"{url}: {reason}" for url, reason in reasons)
    raise NetworkError(
        f"could not download the file '{name}', sha256 {sha256}{length} ({ways}); if you have it, run: "
        "srbench cache add PATH..."
    )


class _Downloader:
    """Write what a server sends to a file, as pooch asks for it, and stop at a size or a time."""

    def __init__(self, size: int | None) -> None:
        self.limit = CHECKPOINT_LIMIT if size is None else size
        self.seconds = _TIMEOUT_S + self.limit / LEAST_SPEED

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download `url` to `output_file`."""
        import requests

        start, received = time.monotonic(), 0
        with requests.get(url, stream=True, timeout=_TIMEOUT_S) as response, open(output_file, "wb") as stream:
            response.raise_for_status()
            for chunk in response.iter_content(_CHUNK):
                received += len(chunk)
                if received > self.limit:
                    raise _TooMuchError(f"the server sent more than {self.limit:,} bytes")
                if time.monotonic() - start > self.seconds:
                    raise _TooMuchError(
                        f"the server sent {received:,} bytes in {self.seconds:.0f} s, which is too slow"
                    )
                stream.write(chunk)


def _reason(error: Exception) -> str:
    """Say in a few words why a download failed."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
