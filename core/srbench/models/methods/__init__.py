"""Sharing methods: the base class and the two that need no plugin."""

from srbench.models.methods.sharing_method import SharingMethod, SiteGroup

__all__ = ["SharingMethod", "SiteGroup"]
