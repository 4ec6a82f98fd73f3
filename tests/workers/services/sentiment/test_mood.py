"""weigh and mean_tone: pure, bounded, and as documented."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.services.sentiment.mood import BEARISH, BULLISH, DAY, WEIGHTS, Score, mean_tone, standing, weigh

NOW = 1_795_390_930.0
values = st.floats(0, 1)
some = st.dictionaries(st.sampled_from(sorted(WEIGHTS)), values, min_size=1)


def scored(values: dict[str, float], age: float = 0.0) -> dict[str, Score]:
    return {name: Score(value, NOW - age) for name, value in values.items()}


def score_of(values: dict[str, float]) -> float:
    mood = weigh(scored(values), NOW)
    assert mood is not None
    return mood[1]


def test_shares_add_up_to_one() -> None:
    """The four weights are shares of one whole."""
    assert math.fsum(weight.share for weight in WEIGHTS.values()) == 1


@given(some)
def test_the_score_lies_between_its_sources(values: dict[str, float]) -> None:
    """Never under the lowest or over the highest of them, but for the fourth digit; so never outside 0 to 1."""
    score = score_of(values)
    assert min(values.values()) - 5e-5 <= score <= max(values.values()) + 5e-5
    assert 0 <= score <= 1


@given(some, st.data())
def test_the_score_rises_with_each_source(values: dict[str, float], data: st.DataObject) -> None:
    """A more bullish source never lowers the score."""
    name = data.draw(st.sampled_from(sorted(values)))
    higher = data.draw(st.floats(values[name], 1))
    assert score_of({**values, name: higher}) >= score_of(values)


@given(some, st.randoms())
def test_the_order_of_sources_does_not_matter(values: dict[str, float], random: object) -> None:
    """The same scores in another order give the same mood."""
    names = list(values)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert weigh(scored({name: values[name] for name in names}), NOW) == weigh(scored(values), NOW)


@given(some)
def test_an_absent_source_is_as_if_it_agreed_with_the_others(values: dict[str, float]) -> None:
    """Leaving a source out scales the others' shares up: the score is what it would be if that one said the same."""
    score = score_of(values)
    for name in WEIGHTS.keys() - values.keys():
        assert score_of({**values, name: score}) == pytest.approx(score, abs=1e-4)


@given(st.sampled_from(sorted(WEIGHTS)), values)
def test_a_single_source_is_the_score(name: str, value: float) -> None:
    """One source alone gives its own value, to four digits."""
    assert score_of({name: value}) == round(value, 4)


@given(some)
def test_the_word_is_said_of_the_published_score(values: dict[str, float]) -> None:
    """Bullish from 0.6, bearish up to 0.4, of the four digits that clients see."""
    mood = weigh(scored(values), NOW)
    assert mood is not None
    word, score = mood
    assert (word == "bullish") == (score >= BULLISH)
    assert (word == "bearish") == (score <= BEARISH)


@pytest.mark.parametrize(
    ("value", "word"), [(0.59996, "bullish"), (0.5999, "neutral"), (0.4001, "neutral"), (0.40004, "bearish")]
)
def test_thresholds(value: float, word: str) -> None:
    """What rounds to a threshold has reached it."""
    mood = weigh(scored({"headlines": value}), NOW)
    assert mood is not None
    assert mood[0] == word


def test_weights() -> None:
    """An example by hand: 0.4 of 0.8 and 0.2 of 0.5, over 0.6."""
    assert score_of({"fear_and_greed": 0.8, "coingecko_votes": 0.5}) == 0.7


@pytest.mark.parametrize("name", WEIGHTS)
def test_an_old_score_does_not_count(name: str) -> None:
    """Each source has an age from which it is left out."""
    keep = WEIGHTS[name].keep
    assert standing(scored({name: 0.3}, keep), NOW) == {name: 0.3}
    assert weigh(scored({name: 0.3}, keep + 1), NOW) is None


def test_nothing_gives_no_mood() -> None:
    """Without a source, and with one that has no weight, there is no score."""
    assert weigh({}, NOW) is None
    assert weigh({"twitter": Score(1.0, NOW)}, NOW) is None


texts = st.lists(st.tuples(st.floats(-1, 1), st.floats(NOW - 2 * DAY, NOW + 60)))


@given(texts)
def test_a_mean_tone_is_a_score(tones: list[tuple[float, float]]) -> None:
    """From 0 to 1, on the side of 0.5 that the texts are on; None where no text is of the last 24 h."""
    score = mean_tone(tones, NOW)
    recent = [value for value, moment in tones if NOW - moment <= DAY]
    assert (score is None) == (not recent)
    if score is not None:
        assert 0 <= score <= 1
        assert score >= 0.5 or min(recent) < 0
        assert score <= 0.5 or max(recent) > 0


def test_few_texts_stay_near_the_middle() -> None:
    """One enthusiastic headline is 1/6 of enthusiasm, a hundred are nearly all of it."""
    assert mean_tone([(1.0, NOW)], NOW) == round(0.5 + 1 / 12, 4)
    hundred = mean_tone([(1.0, NOW)] * 100, NOW)
    assert hundred is not None
    assert hundred > 0.97


def test_newer_texts_count_more() -> None:
    """Good news after bad is a better mood than bad after good."""
    old, new = NOW - 10 * 3600, NOW - 60
    better, worse = mean_tone([(0.5, new), (-0.5, old)], NOW), mean_tone([(-0.5, new), (0.5, old)], NOW)
    assert better is not None
    assert worse is not None
    assert better > 0.5 > worse


@pytest.mark.parametrize("ahead", [3601.0, 86_400.0, 1.8e12])
def test_a_score_or_a_text_of_the_future_does_not_count(ahead: float) -> None:
    """It would count until that time comes, whatever happens meanwhile."""
    now = 1_800_000_000.0
    assert standing({"fear_and_greed": Score(0.9, now + ahead)}, now) == {}
    assert standing({"fear_and_greed": Score(0.9, now + 60)}, now) == {"fear_and_greed": 0.9}
    assert mean_tone([(1.0, now + ahead)], now) is None
