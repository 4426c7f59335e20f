"""Sparse masks (SMSR) and backbones for sr-bench.

`with_path` selects the inference path of a network with masks; `account` counts the work that its masks leave. Both
are imported lazily, and torch with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srbench_sparse_mask.accounting import account as account
    from srbench_sparse_mask.surgery import with_path as with_path

__all__ = ["account", "with_path"]


def __getattr__(name: str) -> Any:
    if name == "account":
        from srbench_sparse_mask.accounting import account

        return account
    if name == "with_path":
        from srbench_sparse_mask.surgery import with_path

        return with_path
    raise AttributeError(f"module 'srbench_sparse_mask' has no attribute '{name}'")
