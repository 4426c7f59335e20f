"""Workarounds to import other libraries."""
