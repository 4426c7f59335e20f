"""`srbench check`: conformance checks of a model, or of all models and methods of a distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.testing import Outcome

__all__ = ["check"]


def check(
    target: Annotated[
        str,
        typer.Argument(
            help="Model name: `BACKBONE[+METHOD[(key=value,...)]]`, or an installed distribution.",
            metavar="MODEL|DISTRIBUTION",
        ),
    ],
    scales: Annotated[
        str | None,
        typer.Option(help="Scales of each network, e.g. 2,3,4; 2 if not given.", metavar="A,B"),
    ] = None,
    examples: Annotated[int, typer.Option(help="Number of examples per check.", min=1, max=1000)] = 1,
    fast: Annotated[bool, typer.Option("--fast", help="Skip checks that take seconds, such as the export.")] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Run the conformance checks: the laws that every backbone and sharing method must satisfy.

    For a distribution, each backbone is checked, and each method on a small backbone that it can be applied to. Exits
    with status 1 if a check fails. `srbench run` runs the same checks before measuring.

    Example: `srbench check edsr_tiny+ps`

    Example: `srbench check sr-bench-tied-tconv --scales 2,4`
    """
    from srbench.cli.output import check_json_target, say, write_json
    from srbench.errors import ConfigError
    from srbench.models.loading import parse_scales
    from srbench.registry import canonical_name
    from srbench.testing.distributions import contributed_by, distribution_named

    if json is not None:
        check_json_target(json)
    wanted = parse_scales(scales) or (2,)
    distribution = distribution_named(target)
    left_out: dict[str, str] = {}
    if distribution is None:
        canonical_name(target)
        found = [target]
    else:
        found, left_out = contributed_by(distribution, wanted)
        if not found:
            why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ConfigError(
                f"'{distribution}' contributes no backbone or method that can be checked{f' ({why})' if why else ''}; "
                f"see `srbench plugins doctor {distribution}`"
            )

    from srbench.testing import check_model

    outcomes: dict[str, list[Outcome]] = {}
    for name in found:
        outcomes[name] = check_model(name, wanted, examples=examples, slow=not fast)
        if json != "-":
            _show(name, wanted, outcomes[name])
    if json != "-":
        for name, reason in left_out.items():
            say(f"{name}: not checked: {reason}")
    if json is not None:
        write_json(_payload(wanted, outcomes, left_out), json)
    if left_out or any(outcome.status == "failed" for items in outcomes.values() for outcome in items):
        raise typer.Exit(1)


def _show(name: str, scales: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    from srbench.untrusted import escaped

    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in ("passed", "failed")}
    at = ", ".join(f"x{scale}" for scale in scales)
    typer.echo(f"{name} at {at}: {counts['passed']} of {len(outcomes)} checks passed, {counts['failed']} failed")
    for outcome in outcomes:
        detail = escaped(outcome.detail, limit=2000)
        typer.echo(f"    {outcome.status:<16} {outcome.check}" + (f": {detail}" if detail else ""))
        if outcome.status == "failed" and outcome.traceback:
            typer.echo(
                "".join(f"    | {escaped(line, limit=500)}\n" for line in outcome.traceback.splitlines()), nl=False
            )


def _payload(scales: Sequence[int], outcomes: dict[str, list[Outcome]], left_out: dict[str, str]) -> dict[str, Any]:
    return {
        "scales": list(scales),
        "models": [
            {
                "model": name,
                "checks": [
                    {
                        "check": outcome.check,
                        "status": outcome.status,
                        "detail": outcome.detail or None,
                        "layer": outcome.layer or None,
                        "traceback": outcome.traceback or None,
                    }
                    for outcome in items
                ],
            }
            for name, items in outcomes.items()
        ],
        "not_checked": left_out,
    }
