"""Build a site from a folder of leaderboards, one suite at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from srbench.leaderboard.entries import Board
from srbench.leaderboard.site.board_page import board_text
from srbench.leaderboard.site.folder import SiteFolder, new_site
from srbench.leaderboard.site.image_data import data_script
from srbench.leaderboard.site.model_page import model_text
from srbench.leaderboard.site.model_rows import ModelFacts, add_row
from srbench.leaderboard.site.overview import (
    BoardCard,
    ProtocolFacts,
    SuiteCard,
    board_card,
    index_text,
    protocol_text,
)
from srbench.leaderboard.site.places import BoardPlace, board_place, model_page, protocol_page
from srbench.leaderboard.site.planned import planned
from srbench.leaderboard.site.published import packaged_figures
from srbench.leaderboard.site.suites import OtherCode, Suite, read_suites, suite_folders
from srbench.leaderboard.site.table import board_table
from srbench.results.published_figures import Published
from srbench.results.reported import ReportedFigure
from srbench.storage import sha256_bytes

__all__ = ["Site", "build_site", "write_suite"]

ASSETS = ("board.js", "images.js", "site.css", "site.js", "table.js", "theme.js")


@dataclass
class Site:
    """The built site, and what is collected while building it."""

    out: Path
    suites: list[SuiteCard] = field(default_factory=list)
    models: dict[str, ModelFacts] = field(default_factory=dict)
    protocols: dict[tuple[str, str], ProtocolFacts] = field(default_factory=dict)
    reported: dict[str, dict[ReportedFigure, None]] = field(default_factory=dict)
    files: int = 0

    @property
    def boards(self) -> int:
        """The number of boards."""
        return sum(len(suite.boards) for suite in self.suites)


def build_site(
    root: str | Path,
    out: str | Path,
    *,
    other_code: OtherCode | None = None,
    published: Published | None = None,
    progress: Callable[[str], None] | None = None,
) -> Site:
    """Write the site of all suites in a folder; equal results and published figures give equal bytes.

    All files are written to a temporary folder first. An existing site in `out` is replaced as a whole.

    Args:
        root: A directory with one folder per suite, each with a directory `results`.
        out: The site's folder: new, empty, or an earlier site.
        other_code: Returns the keys of a store's cells whose code has changed; their rows are marked.
        published: What is published of the weights that were measured.
        progress: Called with a description of what is being written.

    Raises:
        StoreError: There are no results, or `out` cannot be written to or holds something other than a site.
    """
    say = progress or (lambda text: None)
    root, site = Path(root), Site(Path(out))
    for figure in published.figures if published is not None else ():
        site.reported.setdefault(figure.model, {})[figure] = None
    suite_folders(root)  # raises before anything is written
    with new_site(Path(out)) as folder:
        for suite in read_suites(root, other_code, published):
            say(f"{suite.folder}: {0 if suite.results is None else len(suite.results.boards)} boards")
            write_suite(site, folder, suite)
        say(f"{len(site.models)} models, {len(site.protocols)} protocols")
        _write_rest(site, folder)
    site.files = len(folder.names)
    return site


def write_suite(site: Site, folder: SiteFolder, suite: Suite) -> None:
    """Write the boards of one suite, and collect what the other pages need."""
    boards = [] if suite.results is None else suite.results.boards
    places = [board_place(suite.folder, suite.title, board) for board in boards]
    cards = [
        _write_board(site, folder, suite, board, place, places) for board, place in zip(boards, places, strict=True)
    ]
    failures = 0 if suite.results is None else len(suite.results.failed)
    site.suites.append(SuiteCard(suite.folder, suite.title, suite.description, suite.problem, failures, cards))
    for figure in suite.results.info.reported if suite.results is not None and suite.results.info else []:
        site.reported.setdefault(figure.model, {})[figure] = None


def _write_board(
    site: Site, folder: SiteFolder, suite: Suite, board: Board, place: BoardPlace, places: list[BoardPlace]
) -> BoardCard:
    results = suite.results
    assert results is not None
    missing = planned(board, results.info)
    table = board_table(board, suite, missing)
    folder.write(place.page, board_text(place, suite, board, table, missing, places, _Crops(folder).address))
    folder.write(place.data, data_script(place, board, table))
    ranked = {group.title: len(group.ranked) for group in board.groups}
    for section in table.sections:
        for row in section.rows:
            add_row(site.models, place, board, section, row, ranked.get(section.title, 0))
    card = board_card(place, board, missing)
    protocol = site.protocols.setdefault((board.protocol, board.digest), ProtocolFacts(board.protocol, board.digest))
    protocol.words = protocol.words or (results.info.explanations.get(board.digest, "") if results.info else "")
    protocol.boards.append(card)
    return card


@dataclass
class _Crops:
    """Crops as files, with each content written once."""

    folder: SiteFolder

    def address(self, data: bytes) -> str:
        name = f"crops/{sha256_bytes(data)[:20]}.png"
        if name not in self.folder.names:
            self.folder.write(name, data)
        return f"../{name}"


def _write_rest(site: Site, folder: SiteFolder) -> None:
    for figure in packaged_figures():
        if figure.model:
            site.reported.setdefault(figure.model, {})[figure] = None
    for name, facts in sorted(site.models.items()):
        folder.write(model_page(name), model_text(facts, site.reported.get(name, ())))
    protocols = [site.protocols[key] for key in sorted(site.protocols)]
    for protocol in protocols:
        folder.write(protocol_page(protocol.name, protocol.digest), protocol_text(protocol))
    folder.write("index.html", index_text(site.suites, sorted(site.models.items()), protocols))
    for name in ASSETS:
        folder.write(
            f"assets/{name}", resources.files("srbench.leaderboard.site").joinpath("assets", name).read_bytes()
        )
