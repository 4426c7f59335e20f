"""The size of a pruned network follows from its weights, so without them a check knows only an upper bound."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest

from srbench.verification.network_checks import Networks, check_cost, check_parameters
from srbench.verification.stored_board import Board, read_board

SMALL = Path(__file__).resolve().parents[3] / "leaderboards" / "sparse-x2-small"


@pytest.fixture(scope="module")
def board() -> Board:
    """Return one row of a pruned network and one of its dense network, as committed."""
    whole = read_board(SMALL)
    rows = [
        next(one for one in whole.measured if one.record.backbone == "srresnet_tiny" and one.record.method == method)
        for method in ("dhp", None)
    ]
    return dataclasses.replace(whole, cells=rows)


def outcomes(board: Board) -> list[bool]:
    networks = Networks(board)
    return [not check(board, networks).findings for check in (check_parameters, check_cost)]


def edited(board: Board, row: int, **values: object) -> Board:
    cells = list(board.cells)
    stored = cells[row]
    assert stored.cell is not None
    changed = copy.copy(stored.cell)
    changed.record = stored.cell.record.model_copy(update=values)
    cells[row] = dataclasses.replace(stored, cell=changed)
    return dataclasses.replace(board, cells=cells)


def test_committed_rows_of_pruned_networks_pass(board: Board) -> None:
    assert outcomes(board) == [True, True]
    assert "for 1 cell of a pruned network" in check_parameters(board, Networks(board)).notes[0]


@pytest.mark.parametrize(("row", "factor", "passes"), [(0, 0.9, True), (0, 2, False), (1, 0.9, False), (1, 2, False)])
def test_only_pruned_networks_may_be_smaller_than_built(board: Board, row: int, factor: float, passes: bool) -> None:
    record = list(board.measured)[row].record
    assert record.params_deployed is not None
    changed = edited(board, row, params_deployed=int(record.params_deployed * factor))
    assert outcomes(changed) == [passes, True]
    cost = record.cost
    assert cost is not None
    assert cost.macs is not None
    changed = edited(board, row, cost=cost.model_copy(update={"macs": int(cost.macs * factor)}))
    assert outcomes(changed) == [True, passes]
