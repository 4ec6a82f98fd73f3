"""How old what news carries may get."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

FEEDS = Bound("news", 1800.0)
"""Besides the pause of a source that is not asked in every cycle. Then the articles of a failed feed are dropped as
possibly stale.
"""
FIGURES: Figures = {"articles[].title": (FEEDS,), "articles[].categories[]": (FEEDS,), "categories[]": (FEEDS,)}
