"""The index of a site and the pages of protocols."""

from __future__ import annotations

from dataclasses import dataclass, field

from srbench.leaderboard.entries import Board
from srbench.leaderboard.rendering import environment, number
from srbench.leaderboard.site.board_page import PACKAGE
from srbench.leaderboard.site.model_rows import ModelFacts
from srbench.leaderboard.site.places import BoardPlace, model_page
from srbench.leaderboard.site.planned import Planned

__all__ = ["BoardCard", "ProtocolFacts", "SuiteCard", "board_card", "index_text", "protocol_text"]

MANY_LEADERS = 5


@dataclass(frozen=True)
class Leader:
    """A model that may be the best of its tier."""

    label: str
    page: str
    mean: str


@dataclass(frozen=True)
class BoardCard:
    """A board in the index.

    Attributes:
        leaders: Title of a tier -> the models that may be the best in it.
    """

    place: BoardPlace
    models: int
    datasets: list[str]
    metric: str
    unit: str
    leaders: dict[str, list[Leader]]
    missing: Planned


@dataclass(frozen=True)
class SuiteCard:
    """A suite in the index."""

    folder: str
    title: str
    description: str
    problem: str
    failures: int
    boards: list[BoardCard] = field(default_factory=list)


@dataclass
class ProtocolFacts:
    """A protocol, and the boards under it."""

    name: str
    digest: str
    words: str = ""
    boards: list[BoardCard] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """The description of the protocol, one choice per line."""
        return [line.removeprefix("- ") for line in self.words.splitlines() if line.startswith("- ")]


def board_card(place: BoardPlace, board: Board, missing: Planned) -> BoardCard:
    """Return the index entry of a board."""
    first = board.first
    leaders = {
        group.title: [
            Leader(entry.label, model_page(entry.record.model), number(entry.overall, first.decimals))
            for entry in group.top
        ]
        for group in board.groups
        if group.top
    }
    return BoardCard(
        place, len(board.entries), [d.label for d in board.datasets], first.heading, first.unit, leaders, missing
    )


def index_text(suites: list[SuiteCard], models: list[tuple[str, ModelFacts]], protocols: list[ProtocolFacts]) -> str:
    """Return the index.

    Args:
        suites: In the order of their folders.
        models: Name and facts of every model of every board.
        protocols: All of them.
    """
    return (
        environment(PACKAGE)
        .get_template("home.html.j2")
        .render(
            up="",
            page="home",
            suites=suites,
            models=[(name, facts, model_page(name)) for name, facts in models],
            protocols=protocols,
            boards=sum(len(suite.boards) for suite in suites),
            MANY=MANY_LEADERS,
        )
    )


def protocol_text(facts: ProtocolFacts) -> str:
    """Return the page of a protocol."""
    metrics = list(dict.fromkeys(card.metric for card in facts.boards))
    return (
        environment(PACKAGE)
        .get_template("protocol.html.j2")
        .render(up="../", page="protocol", facts=facts, metrics=metrics, MANY=MANY_LEADERS)
    )
