"""Places of a site's pages: file names from arbitrary texts, unique and equal in every build."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from srbench.leaderboard.entries import Board
from srbench.results.records import slugify
from srbench.storage import sha256_bytes

__all__ = ["BoardPlace", "board_place", "model_page", "protocol_page"]


@dataclass(frozen=True)
class BoardPlace:
    """A board and its page.

    Attributes:
        name: The page's file name without its suffix.
        folder: The folder of the suite's results.
        title: Title of the suite.
    """

    name: str
    folder: str
    title: str
    scale: int
    protocol: str
    digest: str

    @property
    def heading(self) -> str:
        """The suite's title, with the scale and protocol of the board."""
        said = re.search(rf"\b[x×]{self.scale}\b", self.title)
        return f"{self.title}, {self.protocol}" if said else f"{self.title}, ×{self.scale}, {self.protocol}"

    @property
    def page(self) -> str:
        """The path of the board's page in the site."""
        return f"boards/{self.name}.html"

    @property
    def data(self) -> str:
        """The path of the script with the values of single images."""
        return f"data/{self.name}.js"

    @property
    def protocol_page(self) -> str:
        """The path of the protocol's page."""
        return protocol_page(self.protocol, self.digest)


def board_place(folder: str, title: str, board: Board) -> BoardPlace:
    """Return the place of a suite's board."""
    name = _name(f"{folder}-x{board.scale}-{board.protocol}", folder, str(board.scale), board.protocol, board.digest)
    return BoardPlace(name, folder, title, board.scale, board.protocol, board.digest)


def model_page(model: str) -> str:
    """Return the path of a model's page."""
    return f"models/{_name(model, model)}.html"


def protocol_page(name: str, digest: str) -> str:
    """Return the path of a protocol's page."""
    return f"protocols/{_name(name, name, digest)}.html"


def _name(text: str, *identity: str) -> str:
    # Different texts may have equal slugs, or slugs that differ only in case, which some file systems ignore.
    digest = sha256_bytes(json.dumps(identity).encode())
    return f"{slugify(text, length=80)}-{digest[:8]}"
