"""Suites: YAML files, read and checked."""
