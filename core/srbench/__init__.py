"""sr-bench: what image super-resolution networks are measured with."""

from __future__ import annotations

__version__ = "0.1.0"
