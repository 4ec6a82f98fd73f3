"""Labels of classifiers: what is known counts, what is not is never guessed."""

from __future__ import annotations

import pytest

from workers.answers.labels import signs, tone_of


@pytest.mark.parametrize(
    ("model", "shares", "tone"),
    [
        ("ProsusAI/finbert", {"positive": 0.7, "neutral": 0.2, "negative": 0.1}, 0.6),
        ("ElKulako/cryptobert", {"Bullish": 0.1, "Neutral": 0.1, "Bearish": 0.8}, -0.7),
        ("distilbert/sst2", {"POSITIVE": 0.25, "NEGATIVE": 0.75}, -0.5),
        ("cardiffnlp/twitter-roberta-base-sentiment", {"LABEL_0": 0.5, "LABEL_1": 0.4, "LABEL_2": 0.1}, -0.4),
        ("kk08/CryptoBERT", {"LABEL_1": 0.9, "LABEL_0": 0.1}, 0.8),
        ("any/model", {"pos": 1.0, "neg": 0.009}, 0.991),
    ],
)
def test_the_tone_is_good_news_less_bad_news(model: str, shares: dict[str, float], tone: float) -> None:
    """Whatever a model calls them; what is neutral counts as nothing."""
    assert tone_of(shares, model) == pytest.approx(tone)


@pytest.mark.parametrize(
    ("model", "labels", "reason"),
    [
        ("me/model", ("LABEL_0", "LABEL_1"), "unknown label 'LABEL_0'"),
        ("kk08/CryptoBERT", ("LABEL_0", "LABEL_2"), "unknown label 'LABEL_2'"),
        ("me/model", ("joy", "anger"), "unknown label 'joy'"),
        ("me/model", ("positive", "neutral"), "missing"),
        ("me/model", (), "missing"),
        ("me/model", ("x" * 100,), "unknown label 'x{40}'"),
    ],
)
def test_labels_that_are_not_known_are_refused(model: str, labels: tuple[str, ...], reason: str) -> None:
    """Numbered labels mean one thing here and another there; emotions are no mood of a market."""
    with pytest.raises(ValueError, match=reason):
        signs(labels, model)


@pytest.mark.parametrize("shares", [(0.9, 0.05), (0.9, 0.9), (float("nan"), 0.1)])
def test_shares_that_are_not_whole_are_refused(shares: tuple[float, float]) -> None:
    """Of what a model left out it is not known on which side it was."""
    with pytest.raises(ValueError, match="add up to 1"):
        tone_of(dict(zip(("positive", "negative"), shares, strict=True)), "me/model")


def test_a_tone_never_leaves_its_scale() -> None:
    """Rounding of the shares does not carry it beyond 1."""
    assert tone_of({"positive": 1.0, "negative": 0.0, "neutral": 0.01}, "me/model") == 1.0
    assert tone_of({"positive": 0.0, "negative": 1.015}, "me/model") == -1.0
