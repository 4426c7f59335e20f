"""The facts about each model, collected from all boards for the model pages; small, since all are in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from srbench.leaderboard.curves import Curve, curve_of
from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.replicas import NOT_A_SETTING
from srbench.leaderboard.site.marks import Mark
from srbench.leaderboard.site.places import BoardPlace
from srbench.leaderboard.site.replay_line import replay_command
from srbench.leaderboard.site.table import Row, Section
from srbench.leaderboard.states import State
from srbench.leaderboard.statistics import Interval
from srbench.leaderboard.trained_on import TrainedOn
from srbench.results.records import Record
from srbench.storage import canonical_json

__all__ = ["ModelFacts", "ModelFigure", "ModelRow", "add_row"]


@dataclass(frozen=True, slots=True)
class ModelFigure:
    """One mean of a model, in full."""

    dataset: str
    metric: str
    title: str
    images: int
    decimals: int
    interval: Interval
    to_best: Interval | None
    spread: float


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model's row on one board; `ranked_by` is the metric that decides its ranks."""

    place: BoardPlace
    tier: str
    rank: int | None
    open: str
    of: int
    first: bool
    tie: str
    state: State
    marks: list[Mark]
    figures: list[ModelFigure]
    created: str
    replay: str
    ranked_by: str = ""


@dataclass(slots=True)
class ModelFacts:
    """Everything shown on a model's page.

    Attributes:
        record: The first record found.
        weights: Hash of weights -> scales at which they were measured.
        trainings: Recipe as canonical JSON -> a record trained with it.
        folders: Recipe as canonical JSON -> folders of the suites.
        curves: Recipe as canonical JSON -> learning curves, by validation images and metric.
        trained_on: Scale -> what is published of the training of its weights; none of models trained here.
    """

    record: Record
    weights: dict[str, tuple[Record, set[int]]] = field(default_factory=dict)
    trainings: dict[str, Record] = field(default_factory=dict)
    folders: dict[str, set[str]] = field(default_factory=dict)
    curves: dict[str, dict[tuple[str, str], Curve]] = field(default_factory=dict)
    costs: dict[int, Record] = field(default_factory=dict)
    plugins: set[tuple[str, str]] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    trained_on: dict[int, TrainedOn] = field(default_factory=dict)
    rows: list[ModelRow] = field(default_factory=list)


def add_row(
    models: dict[str, ModelFacts], place: BoardPlace, board: Board, section: Section, row: Row, ranked: int
) -> None:
    """Add a board's row to the facts about its model."""
    entry = row.entry
    if entry is None:
        return
    record = entry.record
    facts = models.setdefault(record.model, ModelFacts(record))
    facts.labels.add(entry.label)
    facts.plugins |= set(record.plugins.items())
    facts.costs.setdefault(record.scale, record)
    if entry.trained_on is not None and record.training is None:
        facts.trained_on.setdefault(record.scale, entry.trained_on)
    for of in entry.records.values():
        for digest in (of.weights_sha256 or "").split():
            facts.weights.setdefault(digest, (of, set()))[1].add(of.scale)
    if record.training is not None:
        recipe = {name: value for name, value in record.training.recipe.items() if name not in NOT_A_SETTING}
        key = canonical_json([recipe, record.training.data_hash, record.training.iterations])
        facts.trainings.setdefault(key, record)
        facts.folders.setdefault(key, set()).add(place.folder)
        curve = curve_of(entry, board)
        if curve is not None:
            facts.curves.setdefault(key, {}).setdefault((curve.source, curve.metric), curve)
    facts.rows.append(
        ModelRow(
            place=place,
            tier=section.title,
            rank=entry.rank,
            open=entry.standing.interval if entry.standing else "",
            of=ranked,
            first=entry.is_first,
            tie=row.tie,
            state=row.state,
            marks=row.marks,
            figures=_figures(board, entry),
            created=max(of.created for of in entry.records.values()),
            replay=replay_command(place.folder, entry),
            ranked_by=board.metrics[0],
        )
    )


def _figures(board: Board, entry: Entry) -> list[ModelFigure]:
    found = []
    for dataset in board.datasets:
        for metric in board.metrics:
            value = entry.values.get((dataset.label, metric))
            if value is not None:
                how = board.style(metric)
                title = how.heading + (f" ({how.unit})" if how.unit else "")
                images = entry.records[dataset.label].images
                found.append(
                    ModelFigure(
                        dataset.label, metric, title, images, how.fine, value.interval, value.to_best, value.spread
                    )
                )
    return found
