"""The static site: an index, and a page per board, model and protocol, which need no network access.

It is built from results alone, without torch and without plugins.
"""

from srbench.leaderboard.site.build import Site, build_site

__all__ = ["Site", "build_site"]
