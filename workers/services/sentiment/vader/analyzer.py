"""Analyzer: VADER's rules over its lexicon.

The rules are those of vaderSentiment 3.3.2 with all their peculiarities, because published scores depend on them: where
one looks odd, a comment says so. tests/workers/services/sentiment/vader_scores.json holds scores of the original.
"""

from __future__ import annotations

import math
import string
from importlib import resources

from workers.services.sentiment.vader.words import DEGREES, NEGATIONS, PHRASES

_CAPITALS = 0.733  # what capitals added to a text's rating on average, by VADER's raters
_NEGATED = -0.74  # what remained of a valence after a negation
_NEAR = (1.0, 0.95, 0.9)  # weight of a degree one, two or three words before
_EXCLAMATION, _MOST_EXCLAMATIONS = 0.292, 4  # per `!`; more of them than this add nothing
_QUESTION, _MOST_QUESTIONS, _MANY_QUESTIONS = 0.18, 3, 0.96  # per `?` from two on; all of them beyond the most
_SCALE = 15  # about the largest sum of valences to expect; larger ones approach 1


class Analyzer:
    """Rates texts. `lexicon` (lower-case word to valence, from -4 to 4) may be changed before it is used."""

    def __init__(self) -> None:
        self.lexicon = {word: float(valence) for word, valence in _table("vader_lexicon.txt").items()}
        self._emojis = _table("emoji_utf8_lexicon.txt")

    def compound(self, text: str) -> float:
        """How the whole text sounds, from -1 to 1 with four digits; 0 where no word has a valence."""
        text = self._without_emojis(text)
        words = [_bare(token) for token in text.split()]
        if not words:
            return 0.0
        lower = [word.lower() for word in words]
        capitals = sum(word.isupper() for word in words)
        # Capitals emphasize a word only if not all words have them.
        loud = [0 < capitals < len(words) and word.isupper() for word in words]
        valences = [self._valence(lower, loud, at) for at in range(len(words))]
        if "but" in lower:
            _shift(valences, lower.index("but"))
        total = float(sum(valences))
        if total > 0:
            total += _punctuation(text)
        elif total < 0:
            total -= _punctuation(text)
        return round(total / math.sqrt(total * total + _SCALE), 4)

    def _without_emojis(self, text: str) -> str:
        """`text` with each emoji replaced by its description, which the lexicon may know."""
        parts = []
        after_space = True
        for character in text:
            description = self._emojis.get(character)
            if description is None:
                parts.append(character)
                after_space = character == " "
            else:
                parts.append(description if after_space else f" {description}")
                after_space = False
        return "".join(parts).strip()

    def _valence(self, words: list[str], loud: list[bool], at: int) -> float:
        """Of the word at `at`, after what its neighbours do to it."""
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else None
        if word in DEGREES or (word == "kind" and following == "of") or word not in self.lexicon:
            return 0.0
        valence = self.lexicon[word]
        if word == "no" and following in self.lexicon:
            valence = 0.0  # it negates what follows
        if _after_no(words, at):
            valence = self.lexicon[word] * _NEGATED
        if loud[at]:
            valence += _CAPITALS if valence > 0 else -_CAPITALS
        for distance in range(1, min(at, 3) + 1):
            # A neighbour with a valence of its own changes nothing, even if it is a negation.
            if words[at - distance] in self.lexicon:
                continue
            valence += _degree(words[at - distance], valence, loud=loud[at - distance]) * _NEAR[distance - 1]
            valence *= _negation(words, at, distance)
            if distance == 3:
                valence = _phrase(words, at, valence)
        least = at > 0 and words[at - 1] == "least" and "least" not in self.lexicon
        if least and (at == 1 or words[at - 2] not in ("at", "very")):
            valence *= _NEGATED
        return valence


def _table(name: str) -> dict[str, str]:
    """The first two columns of a lexicon. Of a word that is listed twice, the last line counts."""
    lines = (resources.files(__package__) / name).read_text(encoding="utf-8").split("\n")
    columns = (line.strip().split("\t") for line in lines if line.strip())
    return {row[0]: row[1] for row in columns}


def _bare(token: str) -> str:
    """The word without punctuation around it, unless hardly anything is left: then it is an emoticon."""
    word = token.strip(string.punctuation)
    return word if len(word) > 2 else token


def _after_no(words: list[str], at: int) -> bool:
    return (
        (at > 0 and words[at - 1] == "no")
        or (at > 1 and words[at - 2] == "no")
        or (at > 2 and words[at - 3] == "no" and words[at - 1] in ("or", "nor"))
    )


def _degree(word: str, valence: float, *, loud: bool) -> float:
    """What a word before adds to a valence: nothing, unless it is a degree."""
    if word not in DEGREES:
        return 0.0
    degree = DEGREES[word] if valence >= 0 else -DEGREES[word]
    if loud:
        degree += _CAPITALS if valence > 0 else -_CAPITALS
    return degree


def _negation(words: list[str], at: int, distance: int) -> float:
    """The factor on a valence from the word that many places before `at`."""
    word = words[at - distance]
    between = words[at - distance + 1 : at]
    if distance == 2:
        intensified, doubtless = between[0] in ("so", "this"), between[0] == "doubt"
        if word == "never" and intensified:
            return 1.25
    elif distance == 3:
        first, second = between
        doubtless = "doubt" in between
        # The original's precedence of `or`: beside the word, "so" and "this" need no "never".
        if (word == "never" and first in ("so", "this")) or second in ("so", "this"):
            return 1.25
    else:
        doubtless = False
    if word == "without" and doubtless:
        return 1.0
    return _NEGATED if word in NEGATIONS or "n't" in word else 1.0


def _phrase(words: list[str], at: int, valence: float) -> float:
    """The valence of a phrase around `at` that has its own. VADER's rule: only from the fourth word on."""
    three, two, one, word = words[at - 3 : at + 1]
    before = (f"{one} {word}", f"{two} {one} {word}", f"{two} {one}", f"{three} {two} {one}", f"{three} {two}")
    valence = next((PHRASES[phrase] for phrase in before if phrase in PHRASES), valence)
    for length in (2, 3):
        if at + length <= len(words):
            valence = PHRASES.get(" ".join(words[at : at + length]), valence)
    return valence + sum(
        DEGREES.get(phrase, 0.0) for phrase in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}")
    )


def _shift(valences: list[float], but: int) -> None:
    """Halve what is before "but" and raise what is after it by half.

    Of equal valences it is always the first that is changed, again and again: a peculiarity of the original.
    """
    for at in range(len(valences)):
        first = valences.index(valences[at])
        if first != but:
            valences[first] *= 0.5 if first < but else 1.5


def _punctuation(text: str) -> float:
    """What exclamation and question marks add to the size of the sum."""
    questions = text.count("?")
    emphasis = min(text.count("!"), _MOST_EXCLAMATIONS) * _EXCLAMATION
    if questions > _MOST_QUESTIONS:
        emphasis += _MANY_QUESTIONS
    elif questions > 1:
        emphasis += questions * _QUESTION
    return emphasis
