"""VADER: the scores of vaderSentiment 3.3.2, from its own lexicons."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import pytest

from workers.services.sentiment.tone import tone
from workers.services.sentiment.vader.analyzer import Analyzer

SCORES = json.loads((Path(__file__).parent / "vader_scores.json").read_text())
"""Made with vaderSentiment 3.3.2: texts, what it alone gives each, and what `tone` gave each while it stood on it.

Its examples, headlines, a text for each of its rules and peculiarities, and random combinations of the words it knows.
"""


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    """VADER without the words of our field."""
    return Analyzer()


def test_scores_are_those_of_the_original(analyzer: Analyzer) -> None:
    """Every text has the score that vaderSentiment 3.3.2 gives it, to the last digit."""
    assert len(SCORES) > 400
    found = {row["text"]: analyzer.compound(row["text"]) for row in SCORES}
    assert found == {row["text"]: row["vader"] for row in SCORES}


def test_tones_are_what_they_were() -> None:
    """Every text has the tone that it had with vaderSentiment 3.3.2."""
    found = {row["text"]: tone(row["text"]) for row in SCORES}
    assert found == {row["text"]: row["tone"] for row in SCORES}


def test_the_lexicons_are_the_originals() -> None:
    """The files of vaderSentiment are here byte for byte, with its licence."""
    folder = resources.files("workers.services.sentiment.vader")
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums.keys() == {"LICENSE", "emoji_utf8_lexicon.txt", "vader_lexicon.txt"}
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums}
