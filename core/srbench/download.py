"""Download a file from one of several URLs, with checks of hash, size and time."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.errors import NetworkError
from srbench.storage import disk_errors
from srbench.untrusted import CHECKPOINT_LIMIT

__all__ = ["LEAST_SPEED", "download"]

_TIMEOUT_S = 30  # seconds without a response or data
_CHUNK = 2**16
_IN_REPOSITORY = re.compile(r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/([0-9a-f]{40})/")
_IMAGES = (".png", ".bmp", ".jpg")

LEAST_SPEED = 10_000
"""Downloads with a lower average rate, in bytes per second, are aborted."""


class _TooMuchError(Exception):
    """A server sent too much data or was too slow; the message says which."""


def download(urls: Sequence[str], sha256: str, name: str, size: int | None, folder: Path) -> Path:
    """Download a file to a folder, check its hash, and return its path.

    Args:
        urls: The file's URLs, tried in turn.
        sha256: The expected hash of its content.
        name: Its name in messages.
        size: Its size in bytes, if known; the download is aborted if a server sends more.
        folder: The target folder; the caller removes it.

    Raises:
        NetworkError: No URL worked; the message gives the reason for each, and how to add the file by hand.
        StoreError: The folder cannot be written to.
    """
    import logging

    import pooch
    import requests

    # pooch logs each download to the terminal; the caller has a progress bar for that.
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
            reasons.append((url, "the received file has another hash and was discarded"))
        except OSError as error:
            with disk_errors(folder):
                raise error
    length = f", {size:,} bytes" if size is not None else ""
    ways = "; ".join(f"{url}: {reason}" for url, reason in reasons)
    raise NetworkError(f"could not download the file '{name}', sha256 {sha256}{length} ({ways}); {_by_hand(urls[0])}")


def _by_hand(url: str) -> str:
    """Return what to do instead, as the end of a sentence."""
    found = _IN_REPOSITORY.match(url)
    archive = (
        f", or with its whole repository from https://github.com/{found[1]}/archive/{found[2]}.zip" if found else ""
    )
    copies = " (copies of an image with the same pixels are accepted)" if url.endswith(_IMAGES) else ""
    return f"download it by hand from {url}{archive}, then run: srbench cache add PATH...{copies}"


class _Downloader:
    """A downloader for pooch with limits on size and time."""

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
    """Describe briefly why a download failed."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
