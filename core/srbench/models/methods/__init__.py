"""Sharing methods: the base class and the two built-in ones."""

from srbench.models.methods.sharing_method import SharingMethod, SiteGroup

__all__ = ["SharingMethod", "SiteGroup"]
