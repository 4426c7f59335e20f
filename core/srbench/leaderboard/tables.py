"""Results as tables: every figure (CSV), the ranking (a DataFrame), and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import pandas as pd

from srbench.leaderboard.boards import Board, Entry, Results
from srbench.leaderboard.costs import has_costs, shown_cost
from srbench.leaderboard.notes import leak_note, marked_label, rank_note, replay_notes, resolution_notes
from srbench.leaderboard.published_tables import csv_cells, published_rows
from srbench.leaderboard.reported_rows import TITLE, ReportedTable
from srbench.leaderboard.states import state_columns
from srbench.leaderboard.statistics import Interval
from srbench.leaderboard.timings import csv_timings, timing_note
from srbench.results.reported import ReportedFigure

__all__ = ["csv_text", "figures", "markdown_text", "ranking_table"]

ROWS = 5000  # of a table that are formatted at a time


def figures(results: Results) -> pd.DataFrame:
    """Return all figures, one row per model, data set and protocol.

    Measured rows are followed by the papers' figures (tier `reported`, in separate columns), then by the cells that
    failed or were not measured yet.
    """
    everything = pd.DataFrame(_columns(_figure_rows(results)))
    if "error" not in everything:
        everything["error"] = None
    counts = [name for name in map(str, everything) if name.startswith(("macs_", "activations_"))]
    counts += [
        "rank",
        "rank_best",
        "rank_worst",
        "scale",
        "images",
        "params_unique",
        "params_deployed",
        "params_stored",
        "iterations",
        *(["trained_iterations"] if "trained_iterations" in everything else []),
        *(["test_images_in_training"] if "test_images_in_training" in everything else []),
    ]
    for name in [*counts, "checks_passed", "checks_run"]:
        # Integers stay integers beside missing values.
        missing = pd.array([pd.NA] * len(everything), dtype="Int64")
        everything[name] = everything[name].astype("Int64") if name in everything else missing
    return everything


def _figure_rows(results: Results) -> Iterator[dict[str, object]]:
    """Yield one row after the other, since all of them take much more memory than the table."""
    for board in results.boards:
        for tier, entries in _sections(board):
            for entry in entries:
                for dataset in board.datasets:
                    if dataset.label in entry.records:
                        yield _figure_row(board, tier, entry, dataset.label)
    for table in results.reported:
        for row in table.rows:
            yield from (_reported_row(figure) for figure in row.figures.values())
    for failure in results.failures:
        where = {"scale": failure.scale, "dataset": failure.dataset, "protocol": failure.protocol}
        status = "not measured" if failure.planned else "failed"
        yield {"status": status, "model": failure.cell, **where, "error": failure.reason}


def _columns(rows: Iterable[dict[str, object]]) -> dict[str, list[object]]:
    """Return rows as columns, in the order of their first appearance; what a row lacks is NaN."""
    columns: dict[str, list[object]] = {}
    for index, row in enumerate(rows):
        for name, value in row.items():
            if (column := columns.get(name)) is None:
                column = columns[name] = [math.nan] * index
            column.append(value)
        if len(row) < len(columns):
            for column in columns.values():
                if len(column) == index:
                    column.append(math.nan)
    return columns


def _reported_row(figure: ReportedFigure) -> dict[str, object]:
    """Return the row of a paper's figure, which has no rank, no interval and no counts of ours."""
    return {
        "status": "ok",
        "protocol": figure.protocol,
        "scale": figure.scale,
        "tier": "reported",
        "model": figure.model or figure.label,
        "dataset": figure.dataset,
        "reported_psnr": figure.value("psnr"),
        "reported_ssim": figure.value("ssim"),
        "reported_as": figure.label,
        "reported_in": f"{figure.paper}, {figure.table}",
        "reported_params": figure.params,
        "reported_flops": figure.flops,
        "reported_note": figure.note,
    }


def _sections(board: Board) -> Iterable[tuple[str, list[Entry]]]:
    yield from ((group.tier, group.entries) for group in board.groups)
    yield "baseline", board.baselines


def _figure_row(board: Board, section: str, entry: Entry, label: str) -> dict[str, object]:
    record = entry.records[label]
    row: dict[str, object] = {
        "status": record.status,
        "protocol": record.protocol,
        "scale": record.scale,
        "tier": section,
        "rank": entry.rank,
        "rank_best": entry.standing.best if entry.standing else None,
        "rank_worst": entry.standing.worst if entry.standing else None,
        "model": record.model,
        "backbone": record.backbone,
        "method": record.method,
        "tag": record.tag,
        **({"added": True} if entry.added else {}),
        "dataset": label,
        "images": record.images,
    }
    for metric in board.metrics:
        value = entry.values.get((label, metric))
        interval = value.interval if value else Interval(math.nan, math.nan, math.nan)
        to_best = value.to_best if value and value.to_best else Interval(math.nan, math.nan, math.nan)
        row |= {metric: interval.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        row |= {f"{metric}_to_best": to_best.mean, f"{metric}_to_best_low": to_best.low}
        row |= {f"{metric}_to_best_high": to_best.high, f"{metric}_seed_spread": value.spread if value else math.nan}
    overall = entry.standing.to_best if entry.standing else Interval(math.nan, math.nan, math.nan)
    passed, run = entry.checks
    training = record.training
    row |= csv_cells(entry, label) | csv_timings(entry.timings, board.latency)
    row |= {
        "mean_over_datasets": entry.overall,
        "mean_to_best": overall.mean,
        "mean_to_best_low": overall.low,
        "mean_to_best_high": overall.high,
        "params_unique": record.params_unique,
        "params_deployed": record.params_deployed,
        "params_stored": record.params_stored,
        "checks_passed": passed,
        "checks_run": run,
        **state_columns(entry.state_on(label)),
        "iterations": training.iterations if training else None,
        "seeds": " ".join(map(str, training.seeds)) if training else None,
        "training_data": training.data if training else None,
        **({"test_images_in_training": entry.leaks[label].images} if label in entry.leaks else {}),
        "weights_sha256": record.weights_sha256,
        "weights_url": record.weights.url if record.weights else None,
        "weights_licence": record.weights.licence if record.weights else None,
        "weights_third_party": entry.third_party or None,
        "subset_sha256": record.subset.sha256 if record.subset else None,
        "dataset_hash": record.dataset_hash,
        "protocol_digest": record.protocol_digest,
        "code_digest": record.code_digest,
        "dtype": record.dtype,
        "plugins": " ".join(f"{name}=={version}" for name, version in sorted(record.plugins.items())),
        "versions": " ".join(f"{name}=={version}" for name, version in sorted(record.versions.items())),
        "created": record.created,
        "key": record.key,
        "commit": f"{record.checkout.commit}{'-dirty' if record.checkout.dirty else ''}" if record.checkout else None,
    }
    if (cost := record.cost) is not None and cost.macs is not None:
        row |= {
            "macs_1280x720": cost.macs,
            "macs_executed": cost.macs_executed,
            "macs_synthesis": cost.synthesis,
            "activations_1280x720": cost.activations,
            "macs_256x256": cost.macs_256,
            "activations_256x256": cost.activations_256,
        }
    return row


def csv_text(results: Results) -> str:
    """Return `figures` as CSV with ten significant digits, since further digits depend on the processor."""
    table = figures(results)
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].map(_inert)
    parts = [
        table.iloc[start : start + ROWS].to_csv(
            index=False, header=start == 0, float_format="%.10g", lineterminator="\n"
        )
        for start in range(0, max(len(table), 1), ROWS)
    ]
    del table
    return "".join(parts)


def _inert(value: object) -> object:
    """Prefix a text that a spreadsheet would evaluate with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # readers treat a bare carriage return as a new row
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\n")) else text


def ranking_table(results: Results) -> pd.DataFrame:
    """Return one row per model, scale, protocol and tier, best first.

    Columns: `protocol`, `scale`, `tier`, `rank` (missing: not ranked) with its 95% interval `rank_best` to
    `rank_worst`, `model`, `name` (short), `method`, `params_unique`, `params_deployed`, `macs`,
    `macs_executed`, `macs_synthesis`, `mean` (of the first metric over the data sets), `to_best`, `to_best_low`,
    `to_best_high` (paired difference to the tier's first), `over_baseline` (difference to the best model without
    parameters), `state` (`submitted`, `replayed here`, `replay differs` or `replay failed`), and
    `METRIC@DATASET` for every metric and data set.
    """
    rows = []
    for board in results.boards:
        best = max if board.first.higher_is_better else min
        baseline = best((entry.overall for entry in board.baselines), default=math.nan)
        for section, entries in _sections(board):
            for entry in entries:
                record, standing = entry.record, entry.standing
                to_best = standing.to_best if standing else Interval(math.nan, math.nan, math.nan)
                row: dict[str, object] = {
                    "protocol": board.protocol,
                    "scale": board.scale,
                    "tier": section,
                    "rank": entry.rank,
                    "rank_best": standing.best if standing else None,
                    "rank_worst": standing.worst if standing else None,
                    "model": record.model,
                    "name": entry.label,
                    "method": record.method,
                    "params_unique": record.params_unique,
                    "params_deployed": record.params_deployed,
                    "macs": shown_cost(entry).macs,
                    "macs_executed": shown_cost(entry).executed,
                    "macs_synthesis": shown_cost(entry).synthesis,
                    "mean": entry.overall,
                    "to_best": to_best.mean,
                    "to_best_low": to_best.low,
                    "to_best_high": to_best.high,
                    "over_baseline": entry.overall - baseline,
                    "state": entry.state.name,
                }
                for dataset in board.datasets:
                    for metric in board.metrics:
                        value = entry.values.get((dataset.label, metric))
                        row[f"{metric}@{dataset.label}"] = value.interval.mean if value else math.nan
                rows.append(row)
    table = pd.DataFrame(rows)
    ranks = ("rank", "rank_best", "rank_worst")
    for name in (*ranks, "params_unique", "params_deployed", "macs", "macs_executed", "macs_synthesis"):
        if name in table:
            table[name] = table[name].astype("Int64")
    return table


def _cell(text: object) -> str:
    """Escape a text so that it cannot end a Markdown table cell or start HTML."""
    escaped = str(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("|", "\\|").replace("`", "\\`").replace("\n", " ").replace("\r", " ")


def markdown_text(results: Results) -> str:
    """Return the rankings as Markdown tables."""
    lines = [f"# {_cell(results.title)}", ""]
    if results.info and results.info.description:
        lines += [_cell(results.info.description), ""]
    for board in results.boards:
        lines += [f"## x{board.scale}, protocol {_cell(board.protocol)}", ""]
        for group in board.groups:
            lines += [f"### {group.title}", "", *_markdown_table(board, group.entries), ""]
            for note in (
                rank_note(group),
                *resolution_notes(group, board.first),
                group.seed_note,
                leak_note(group.entries),
                *replay_notes(group.entries),
            ):
                lines += [_cell(note), ""] if note else []
        if board.baselines:
            lines += ["### Without parameters", "", *_markdown_table(board, board.baselines), ""]
            for note in replay_notes(board.baselines):
                lines += [_cell(note), ""]
        lines += _markdown_published(board)
        lines += [line for run in board.latency[:1] for line in (_cell(timing_note(run)), "")]
    for table in results.reported:
        lines += [f"## x{table.scale}: {TITLE[0].lower()}{TITLE[1:]}", "", *_markdown_reported(table), ""]
    if results.failures:
        lines += ["## Not measured", ""]
        for failure in results.failures:
            where = f" on {failure.dataset} (x{failure.scale}, {failure.protocol})" if failure.dataset else ""
            lines.append(f"- {_cell(failure.cell + where)}: {_cell(failure.reason)}")
        lines.append("")
    return "\n".join(lines)


def _markdown_reported(table: ReportedTable) -> list[str]:
    lines = [f"- {_cell(paper)}" for paper in table.papers]
    names = [f"{title} {dataset}" for dataset in table.datasets for title in ("PSNR", "SSIM")]
    header = ["Model", "As printed", "Parameters", *map(_cell, names), "Note"]
    lines += ["", "| " + " | ".join(header) + " |", "|---|---|---:|" + "---:|" * len(names) + "---|"]
    for row in table.rows:
        cells = [_cell(row.first.model or "–"), _cell(row.first.label), _cell(row.first.params or "–")]
        for dataset in table.datasets:
            figure = row.figures.get(dataset)
            cells += [figure.psnr or "–", figure.ssim or "–"] if figure else ["–", "–"]
        lines.append("| " + " | ".join([*cells, _cell("; ".join(row.notes))]) + " |")
    return lines


def _markdown_published(board: Board) -> list[str]:
    rows = published_rows(board)
    if not rows:
        return []
    header = ["Model", "Data set", "Metric", "Published", "Measured", "Difference", "Cause", "Published in"]
    lines = ["### Published and measured", "", f"| {' | '.join(header)} |", "|---|---|---|---:|---:|---:|---|---|"]
    for row in rows:
        cells = [row.label, row.dataset, row.metric, row.printed, row.measured, row.difference, row.verdict, row.source]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return [*lines, ""]


def _markdown_table(board: Board, entries: list[Entry]) -> list[str]:
    first = board.first
    names = [f"{board.style(metric).heading} {dataset.label}" for dataset in board.datasets for metric in board.metrics]
    costs = ["MACs"] if has_costs([board]) else []
    times = ["Time, ms", "Peak memory, MiB"] if board.latency else []
    trained = ["Trained on"] if any(entry.trained_on for entry in board.entries) else []
    means = [f"{first.heading}, mean"] if len(board.datasets) > 1 else []
    header = [
        "Rank",
        "Rank interval, 95%",
        "Model",
        *means,
        "Parameters (deployed)",
        *costs,
        *times,
        *map(_cell, names),
        "To first [95%]",
        "Checks",
        *trained,
        "State",
    ]
    columns = len(means) + len(costs) + len(times) + len(names) + 3
    lines = [
        "| " + " | ".join(header) + " |",
        "|---:|:---:|---|" + "---:|" * columns + "---|" * len(trained) + "---|",
    ]
    for entry in entries:
        cells = ["–" if entry.rank is None else str(entry.rank)]
        cells += ["–" if entry.standing is None else entry.standing.interval, _cell(marked_label(entry))]
        if means:
            cells.append("–" if math.isnan(entry.overall) else f"{entry.overall:.{first.fine}f}")
        unique, deployed = entry.record.params_unique, entry.record.params_deployed
        cells.append(
            "–" if unique is None else f"{unique:,}" + ("" if deployed in (None, unique) else f" ({deployed:,})")
        )
        if costs:
            cells.append(_cell("; ".join(shown_cost(entry).texts)))
        if times:
            timing = entry.timings.get(0)
            cells += [timing.text, timing.memory] if timing else ["–", "–"]
        for dataset in board.datasets:
            for metric in board.metrics:
                value = entry.values.get((dataset.label, metric))
                missing = "–" if dataset.label in entry.records else "not measured"
                cells.append(missing if value is None else f"{value.interval.mean:.{board.style(metric).decimals}f}")
        cells.append(_to_best(entry, first.fine))
        passed, run = entry.checks
        cells.append(f"{passed}/{run}" if run else "–")
        if trained:
            of = entry.trained_on
            cells.append(_cell(", ".join(filter(None, (of.data, of.brief)))) if of else "–")
        cells.append(_cell(entry.state.name))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _to_best(entry: Entry, decimals: int) -> str:
    if entry.standing is None:
        return "–"
    interval = entry.standing.to_best
    if entry.is_first:
        return "first"
    if math.isnan(interval.low):
        return f"{interval.mean:.{decimals}f}"
    return f"{interval.mean:.{decimals}f} [{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]"
