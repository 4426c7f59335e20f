"""Laws of the names that boards print."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbench.leaderboard.short_names import short_names
from srbench.plugin import SharingMethod
from srbench.registry import METHODS, canonical_name
from srbench.registry.names import ModelName
from srbench.results.origins import Planned
from srbench.results.records import Record, RunInfo

METHOD = "low_rank_of_a_test"


class LowRank(SharingMethod):
    """A method with two arguments; it is never applied."""

    def __init__(self, *, rank: int = 4, init: str = "svd") -> None:
        self.rank, self.init = rank, init

    def replace(self, site, module, shared, scales):  # type: ignore[no-untyped-def]
        return module


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    METHODS.add(METHOD, LowRank)
    yield
    METHODS.remove(METHOD)


# Names as suites write them: with any of the arguments left out, and in either order.
ARGUMENTS = st.permutations(["rank", "init"]).flatmap(
    lambda keys: st.tuples(
        st.just(keys),
        st.sampled_from(["", "0", "4", "8"]),
        st.sampled_from(["", "svd", "he"]),
        st.sampled_from(["", " "]),
    )
)


def written(keys: list[str], rank: str, init: str, space: str) -> str:
    given_values = {"rank": rank, "init": init}
    args = f",{space}".join(f"{key}={given_values[key]}" for key in keys if given_values[key])
    return f"edsr_tiny+{METHOD}" + (f"({args})" if args else "")


TEXTS = st.one_of(ARGUMENTS.map(lambda parts: written(*parts)), st.just("edsr_tiny"), st.just(f"carn+{METHOD}(rank=0)"))


def record(model: ModelName) -> Record:
    args = {key: str(value) for key, value in model.args}
    return Record(
        key="k" * 64, status="ok", model=str(model), backbone=model.backbone, method=model.method, args=args, scale=2,
         dataset="A", dataset_hash="", protocol="p", protocol_digest="", tier="trained", created="2024",
    )  # fmt: skip


@given(st.data())
def test_a_printed_name_means_the_model_of_its_row(data: st.DataObject) -> None:
    """Law: a name that a board prints has the row's model as its canonical name, whatever the suite names, whichever
    part of it was planned (`--models`), and whichever of these were measured."""
    suite = data.draw(st.lists(TEXTS, unique_by=lambda text: str(canonical_name(text)), max_size=5))
    chosen = data.draw(st.sets(st.sampled_from(suite))) if suite else set()
    planned = [str(canonical_name(text)) for text in suite if text in chosen]
    measured = {name for name in planned if data.draw(st.integers(0, 3))}
    submitted = {str(canonical_name(text)) for text in data.draw(st.lists(TEXTS, max_size=3))}
    records = [record(canonical_name(name)) for name in sorted(measured | submitted)]
    info = RunInfo(
        suite="s", srbench="0", created="2024", definition={"models": [{"model": text} for text in suite]},
        planned=Planned(models={model: [2] for model in planned}, datasets=[], protocols=[]),
    )  # fmt: skip
    for known in (info, info.model_copy(update={"planned": None}), None):
        names = short_names(records, known)
        assert len({*names.values()}) == len(records)
        for one in records:
            assert str(canonical_name(names[one.model])) == one.model, names
