"""Models of a distribution to be checked: its backbones, and its methods on small backbones."""

from __future__ import annotations

from collections.abc import Sequence

from srbench.errors import SRBenchError
from srbench.models.factory import create_model
from srbench.registry.entry_points import contributions
from srbench.registry.plugin_filter import named, normalized

__all__ = ["contributed_by", "distribution_named"]

# Backbones on which methods are tried in turn: plain convolutions, blocks, a pyramid with transposed convolutions, and
# one that needs no basicsr; then every other installed backbone with "tiny" in its name.
_SMALL = ("edsr_tiny", "srresnet_tiny", "ms_lapsrn_tiny", "smsr_tiny", "ecbsr_m4c16", "imdn_tiny")


def distribution_named(text: str) -> str | None:
    """Return the contributing distribution of that name, with or without its prefix (`ps`, `foo`), or None."""
    names = {
        normalized(item.entry.dist.name): item.entry.dist.name
        for entries in contributions().values()
        for items in entries.values()
        for item in items
        if item.entry.dist is not None
    }
    found = named(text, names)
    return None if found is None else names[found]


def contributed_by(distribution: str, scales: Sequence[int]) -> tuple[list[str], dict[str, str]]:
    """Return the models of a distribution to be checked, and what cannot be checked with the reason.

    Args:
        distribution: Name of the distribution.
        scales: The scales of each network.
    """
    own = {
        kind: [
            name
            for name, items in entries.items()
            if any(item.entry.dist is not None and item.entry.dist.name == distribution for item in items)
        ]
        for kind, entries in contributions().items()
    }
    found, left_out = [], {}
    for name in (*own["baselines"], *own["backbones"]):
        reason = _refusal(name, scales)
        if reason is None:
            found.append(name)
        else:
            left_out[name] = reason
    tiny = sorted(name for name in contributions()["backbones"] if name.endswith("_tiny"))
    for method in own["methods"]:
        reasons = {}
        for backbone in dict.fromkeys((*_SMALL, *tiny, *own["backbones"])):
            reason = _refusal(f"{backbone}+{method}", scales)
            if reason is None:
                found.append(f"{backbone}+{method}")
                break
            reasons[backbone] = reason
        else:
            left_out[method] = "no small backbone takes it; " + "; ".join(dict.fromkeys(reasons.values()))
    return found, left_out


def _refusal(model: str, scales: Sequence[int]) -> str | None:
    """Return why a model cannot be created; None if it can, or if only a check can tell what is wrong."""
    try:
        create_model(model, scales=scales, seed=0)
    except SRBenchError as error:
        return str(error)
    return None
