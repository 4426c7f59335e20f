"""Checks that build the networks: parameters and cost recomputed, weights loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from srbench.errors import SRBenchError
from srbench.results.cost_figures import CostFigures
from srbench.results.records import Record
from srbench.runs.replay_plan import network_scales
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

# Executed work is scaled by area to 1280x720, including work per image such as that of channel attention.
_SCALED = 1.001

__all__ = ["Networks", "check_cost", "check_loading", "check_parameters"]


@dataclass(frozen=True)
class _Counted:
    unique: int
    deployed: int
    stored: int
    cost: CostFigures
    folded: bool
    pruned: bool


def _is_pruned(network: Backbone) -> bool:
    """Return whether masks among a network's weights decide how large it is once it is folded."""
    import torch

    masks = any(tensor.dtype == torch.bool for tensor in network.state_dict().values())
    return masks and network.method is not None and network.method.measured_folded


class Networks:
    """Parameters and cost of a board's networks, each built once."""

    def __init__(self, board: Board) -> None:
        """Initialize with a board; nothing is built yet."""
        self.board = board
        self.found: dict[object, _Counted | SRBenchError] = {}

    def counted(self, record: Record) -> _Counted | SRBenchError:
        """Return the parameters and cost of a record's network, or why it cannot be built."""
        key = (record.model, tuple(record.scales), record.scale, record.numerics.get("fold"))
        if key not in self.found:
            try:
                self.found[key] = self._count(record)
            except SRBenchError as error:
                self.found[key] = error
        return self.found[key]

    def _count(self, record: Record) -> _Counted:
        from srbench.evaluation.deployment import DeploymentOptions, deploy
        from srbench.models.counting import count_parameters, count_stored
        from srbench.models.factory import create_model
        from srbench.runs.recording import cost_figures

        name = self.board.name(record.model)
        network = create_model(name, scales=network_scales(record, name), pretrained=False, seed=0).eval()
        options = DeploymentOptions(fold=record.numerics.get("fold") is True)
        _, view, folded = deploy(network, record.scale, options)
        return _Counted(
            count_parameters(network),
            count_parameters(view),
            count_stored(network),
            cost_figures(view),
            folded,
            _is_pruned(network),
        )


def check_parameters(board: Board, networks: Networks) -> CheckResult:
    """Count the parameters of every cell's network; of pruned networks only a replay knows what is left."""
    result = CheckResult("parameters")
    pruned = 0
    for one in board.measured:
        counted = networks.counted(one.record)
        result.checked += 1
        if isinstance(counted, SRBenchError):
            result.wrong(one.name, f"its network cannot be built: {counted}")
            continue
        told = {"params_unique": counted.unique, "params_deployed": counted.deployed, "params_stored": counted.stored}
        for field, value in told.items():
            stored = getattr(one.record, field)
            if field == "params_deployed" and counted.pruned:
                pruned += stored is not None
                if stored is not None and not 0 < stored <= value:
                    result.wrong(one.name, f"its {field} is {stored:,}, but the network has {value:,} before pruning")
            elif stored is not None and stored != value:
                result.wrong(one.name, f"its {field} is {stored:,}, but the network has {value:,}")
        if one.record.folded not in (None, counted.folded):
            result.wrong(one.name, f"it says {'folded' if one.record.folded else 'not folded'}, which is not so")
    if pruned:
        cells = f"{pruned} cells of pruned networks" if pruned > 1 else "1 cell of a pruned network"
        result.notes.append(f"for {cells}, only a replay can check the deployed size and work")
    return result


def check_cost(board: Board, networks: Networks) -> CheckResult:
    """Count the work of every cell's network; only a replay can check the work executed with masks."""
    result = CheckResult("cost")
    masked = 0
    for one in board.measured:
        stored, counted = one.record.cost, networks.counted(one.record)
        if stored is None or isinstance(counted, SRBenchError):
            continue  # reported by `parameters`
        result.checked += 1
        for field, value in counted.cost:
            told = getattr(stored, field)
            if field == "macs_executed":
                masked += told is not None
                if told is not None and not 0 <= told <= (stored.macs or 0) * _SCALED:
                    result.wrong(one.name, f"its masked work is {told:,} of {stored.macs or 0:,} multiply-accumulates")
            elif counted.pruned and isinstance(told, int) and isinstance(value, int):
                if not 0 <= told <= value:
                    result.wrong(
                        one.name,
                        f"its cost has {field} {_number(told)}, but the network {_number(value)} before pruning",
                    )
            elif told != value:
                result.wrong(one.name, f"its cost has {field} {_number(told)}, but the network has {_number(value)}")
    if masked:
        result.notes.append(f"for {masked} cells with masks, only a replay can check the executed work")
    return result


def check_loading(board: Board) -> CheckResult:
    """Load the published weights named by the board's rows into their networks."""
    from srbench.models.factory import create_model

    result = CheckResult("loading", "files of weights")
    done: set[object] = set()
    for one in board.measured:
        record = one.record
        network = (record.model, record.scale)
        if record.tag is None or network in done:
            continue
        done.add(network)
        result.checked += 1
        try:
            name = board.name(record.model)
            create_model(name, scales=network_scales(record, name))
        except SRBenchError as error:
            result.wrong(one.name, str(error))
    return result


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else repr(value)
