"""NIQE, a no-reference metric."""
