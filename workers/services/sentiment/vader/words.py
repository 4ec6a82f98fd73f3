"""Words that VADER's rules know besides the lexicon: negations, degrees, and phrases with a valence of their own."""

from __future__ import annotations

from types import MappingProxyType

NEGATIONS = frozenset(
    {
        *("aint", "arent", "cannot", "cant", "couldnt", "darent", "didnt", "doesnt", "ain't", "aren't", "can't"),
        *("couldn't", "daren't", "didn't", "doesn't", "dont", "hadnt", "hasnt", "havent", "isnt", "mightnt"),
        *("mustnt", "neither", "don't", "hadn't", "hasn't", "haven't", "isn't", "mightn't", "mustn't", "neednt"),
        *("needn't", "never", "none", "nope", "nor", "not", "nothing", "nowhere", "oughtnt", "shant", "shouldnt"),
        *("uhuh", "wasnt", "werent", "oughtn't", "shan't", "shouldn't", "uh-uh", "wasn't", "weren't", "without"),
        *("wont", "wouldnt", "won't", "wouldn't", "rarely", "seldom", "despite"),
    }
)
"""Words that reverse a valence. So does every word with "n't" in it."""

_MORE = (
    *("absolutely", "amazingly", "awfully", "completely", "considerable", "considerably", "decidedly", "deeply"),
    *("effing", "enormous", "enormously", "entirely", "especially", "exceptional", "exceptionally", "extreme"),
    *("extremely", "fabulously", "flipping", "flippin", "frackin", "fracking", "fricking", "frickin", "frigging"),
    *("friggin", "fully", "fuckin", "fucking", "fuggin", "fugging", "greatly", "hella", "highly", "hugely"),
    *("incredible", "incredibly", "intensely", "major", "majorly", "more", "most", "particularly", "purely", "quite"),
    *("really", "remarkably", "so", "substantially", "thoroughly", "total", "totally", "tremendous", "tremendously"),
    *("uber", "unbelievably", "unusually", "utter", "utterly", "very"),
)
_LESS = (
    *("almost", "barely", "hardly", "kinda", "kindof", "kind-of", "less", "little", "marginal", "marginally"),
    *("occasional", "occasionally", "partly", "scarce", "scarcely", "slight", "slightly", "somewhat", "sorta"),
    *("sortof", "sort-of"),
    *("just enough", "kind of", "sort of"),
)

_DEGREE = 0.293  # what an intensifier added to a text's rating on average, by VADER's raters
DEGREES = MappingProxyType({**dict.fromkeys(_MORE, _DEGREE), **dict.fromkeys(_LESS, -_DEGREE)})
"""What a word or phrase adds to the size of the valence that follows it."""

PHRASES = MappingProxyType(
    {
        "the shit": 3.0,
        "the bomb": 3.0,
        "bad ass": 1.5,
        "badass": 1.5,
        "bus stop": 0.0,
        "yeah right": -2.0,
        "kiss of death": -1.5,
        "to die for": 3.0,
        "beating heart": 3.5,
    }
)
"""Phrases whose valence differs from that of their words."""
