"""How old the figures of sentiment may get."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

INDEX = Bound("sentiment fear and greed", 26 * 3600.0)  # a new value every day, sometimes hours late
TRENDING = Bound("sentiment trending", 3600.0)  # it changes within an hour
VOTES = Bound("sentiment votes", 2 * 3600.0)  # a day's votes move slowly
POSTS = Bound("sentiment posts", 3600.0)  # an hour of the counted day
HEADLINES = 180.0
"""Seconds after an update of news: three of its cycles."""

FIGURES: Figures = {
    "sentiment_by_source.fear_and_greed": (INDEX,),
    "sentiment_by_source.coingecko_votes": (VOTES,),
    "sentiment_by_source.reddit": (POSTS,),
    "social_volume": (POSTS,),
    "trending_topics[]": (TRENDING,),
}
