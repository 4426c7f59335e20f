"""The page of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable

from srbench.leaderboard.curves import curve_pictures
from srbench.leaderboard.rendering import environment
from srbench.leaderboard.site.board_page import PACKAGE
from srbench.leaderboard.site.model_rows import ModelFacts
from srbench.leaderboard.site.published import published_against_measured
from srbench.leaderboard.site.weights import weights_licence, weights_source
from srbench.results.reported import ReportedFigure

__all__ = ["model_text"]


def model_text(facts: ModelFacts, reported: Iterable[ReportedFigure]) -> str:
    """Return the page of a model.

    Args:
        facts: The facts about the model from all boards.
        reported: Figures of papers for it.
    """
    outcomes = {name: outcome.partition(":")[::2] for name, outcome in sorted(facts.record.checks.items())}
    return (
        environment(PACKAGE)
        .get_template("model.html.j2")
        .render(
            up="../",
            page="model",
            facts=facts,
            record=facts.record,
            checks=outcomes,
            passed=sum(word == "passed" for word, _ in outcomes.values()),
            trainings=[
                {
                    "training": record.training,
                    "recipe": _recipe(record.training.recipe),
                    "folders": sorted(facts.folders[key]),
                    "curves": curve_pictures(facts.curves.get(key, {}).values()),
                }
                for key, record in sorted(facts.trainings.items())
                if record.training is not None
            ],
            costs=sorted(facts.costs.items()),
            pairs=published_against_measured(facts, reported),
            weights_source=weights_source,
            weights_licence=weights_licence,
        )
    )


def _recipe(recipe: dict[str, object]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value, sort_keys=True))
        for name, value in sorted(recipe.items())
        if name != "seed"
    ]
