"""The site: an index, a page per board, per model and per protocol, as static files that need no network.

Reads results alone: it imports no torch and asks no plugin.
"""

from srbench.leaderboard.site.build import Site, build_site

__all__ = ["Site", "build_site"]
