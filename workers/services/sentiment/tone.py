"""tone: the tone of a headline about the market. VADER, with words of this field that it lacks or rates wrongly.

VADER (Hutto & Gilbert 2014, in `vader/`) sums the valences of a text's words, from -4 to 4, and applies negation
("not"), degree ("very") and "but". It splits at spaces and strips ASCII punctuation, so only single tokens count:
phrases are joined into one token first.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from types import MappingProxyType

from workers.services.sentiment.vader.analyzer import Analyzer

_LONGEST = 300  # characters that are read: three times a headline; a limit for the running time

VALENCES = MappingProxyType(
    {
        # The direction of prices.
        **dict.fromkeys(("bullish", "bull", "bulls", "moon", "mooning"), 2.3),
        **dict.fromkeys(("bearish", "bear", "bears", "rekt"), -2.3),
        **dict.fromkeys(("rally", "rallies", "rallied", "rallying", "surge", "surges", "surged", "surging"), 2.0),
        **dict.fromkeys(("soar", "soars", "soared", "soaring", "skyrocket", "skyrockets", "breakout", "ath"), 2.0),
        **dict.fromkeys(("crash", "crashes", "crashed", "crashing", "plunge", "plunges", "plunged"), -2.3),
        **dict.fromkeys(("plummet", "plummets", "plummeted", "collapse", "collapses", "collapsed", "meltdown"), -2.3),
        **dict.fromkeys(("tumble", "tumbles", "tumbled", "slump", "slumps", "slumped", "sink", "sinks", "sank"), -2.0),
        **dict.fromkeys(("selloff", "atl", "dump", "dumps", "dumped", "dumping", "capitulation", "rout"), -2.0),
        **dict.fromkeys(("tanks", "tanked", "hammered", "battered"), -2.0),
        **dict.fromkeys(("rise", "rises", "rose", "rising", "climb", "climbs", "climbed", "regains"), 1.3),
        **dict.fromkeys(
            ("jumps", "jumped", "bounces", "rebound", "rebounds", "rebounded", "recovers", "uptrend", "upside"), 1.3
        ),
        **dict.fromkeys(("leap", "leaps", "leapt"), 1.3),
        **dict.fromkeys(("fall", "falls", "fell", "falling", "drop", "drops", "dropped", "slide", "slides"), -1.3),
        **dict.fromkeys(("slip", "slips", "slipped", "slipping", "sheds", "stumbles", "skids", "retreats"), -1.3),
        **dict.fromkeys(("slid", "dip", "dips", "dipped", "decline", "declines", "downtrend", "downside"), -1.3),
        # Money, use and standing.
        **dict.fromkeys(("inflow", "inflows", "adoption", "adopts", "accumulate", "accumulates", "halving"), 1.3),
        **dict.fromkeys(("partnership", "partners", "upgrade", "upgrades", "milestone", "oversubscribed"), 1.3),
        **dict.fromkeys(
            ("outflow", "outflows", "liquidation", "liquidations", "liquidated", "delist", "delists"), -1.7
        ),
        **dict.fromkeys(("delisting", "delisted", "outage", "halts", "halted", "layoffs", "overvalued"), -1.7),
        # Loss, crime and the law.
        **dict.fromkeys(("hack", "hacks", "hacked", "hacker", "hackers", "exploit", "exploits", "exploited"), -2.7),
        **dict.fromkeys(("drained", "rugpull", "rugged", "ponzi", "phishing", "depeg", "depegs", "depegged"), -2.7),
        **dict.fromkeys(("laundering", "breach", "breached", "insolvent", "insolvency", "bankruptcy"), -2.7),
        **dict.fromkeys(("lawsuit", "sues", "sued", "subpoena", "indicted", "crackdown", "ban", "bans"), -2.0),
        **dict.fromkeys(("fud", "sanctions", "sanctioned"), -1.7),
    }
)
"""Valences that replace or complete VADER's; its raters did not rate these words in this sense. Each group has,
rounded, the rating of everyday words of similar weight: win 2.8 and gain 2.4, gains 1.4, drop -1.1, loss -1.3 and
losses -1.7,
hacked -1.7 and banned -2.0, bankrupt -2.6, scam -2.7 and fraud -2.8."""

EVERYDAY = frozenset(
    {
        *("share", "shares", "security", "securities", "interest", "interests", "treasury", "treasuries", "trust"),
        *("value", "debt", "block", "blocks", "like", "active", "novel", "top", "support", "supports", "reserve"),
        *("credit", "bond", "bonds", "reward", "rewards", "natural", "play", "number"),
    }
)
"""Words whose valence is removed: "share", "treasury" or "block" express no mood in this field."""

_PHRASES = MappingProxyType(
    {
        r"(?:new |fresh )?(?:all[- ]time|record)[- ]highs?": "ATH",
        r"(?:new |fresh )?(?:all[- ]time|record)[- ]lows?": "ATL",
        r"rug[- ]?pull(?:s|ed)?": "rugpull",
        r"(?:sell|sold|selling)[- ]off": "selloff",
        r"bull (?:run|market)": "bull",
        r"bear market": "bear",
        r"de-peg(?:s|ged)?": "depeg",
    }
)
_PHRASE = re.compile("|".join(rf"\b({phrase})\b" for phrase in _PHRASES), re.IGNORECASE)
_JOINED = tuple(_PHRASES.values())
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": " ", "—": " ", "…": " ", "/": " "})
"""Typography that VADER would count as part of the adjacent word."""


@lru_cache(
    maxsize=4096
)  # a day's headlines and posts, which are rated in every cycle; beyond that, tones are computed again
def tone(title: str) -> float:
    """From -1, the most negative, to 1, the most positive; 0 if no word has a valence."""
    text = title[:_LONGEST].translate(_PLAIN)
    text = _PHRASE.sub(lambda match: _JOINED[(match.lastindex or 1) - 1], text)
    return _analyzer().compound(text)


@cache
def _analyzer() -> Analyzer:
    """VADER with our words. Its constructor reads the lexicon (half a megabyte), so it is called only when needed."""
    analyzer = Analyzer()
    for word in EVERYDAY:
        # Removed, not set to zero: VADER would still apply degree and capitals to a zero.
        analyzer.lexicon.pop(word, None)
    analyzer.lexicon.update(VALENCES)
    return analyzer
