"""Sharing methods: the base class and the two that need no plugin."""

from srbench.models.methods.base import SharingMethod, SiteGroup

__all__ = ["SharingMethod", "SiteGroup"]
