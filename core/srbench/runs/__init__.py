"""Runs: plan, execute and store the cells of a suite."""
