"""Runs: plan what a suite asks for, do it, keep it."""
