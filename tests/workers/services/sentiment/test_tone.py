"""tone: what headlines of this field sound like."""

from __future__ import annotations

import math
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import UPSTREAM
from workers.services.sentiment.tone import EVERYDAY, VALENCES, tone

FEEDS = ("rss_coindesk", "rss_cointelegraph", "rss_decrypt", "rss_theblock")


@pytest.mark.parametrize(
    "title",
    [
        "Bitcoin surges past $100,000",
        "Ether hits new all-time high",
        "Solana rallies as ETF inflows accelerate",
        "Analysts are bullish on XRP",
        "SEC approves spot Ethereum ETF",
        "BITCOIN RECORD HIGH: bull run is on",
        "Stellar jumps 12% after “major” partnership",
        "Zcash leaps 9% overnight",
    ],
)
def test_good_news(title: str) -> None:
    """Rises, records, inflows and approvals sound good."""
    assert tone(title) > 0.2


@pytest.mark.parametrize(
    "title",
    [
        "Bitcoin plunges below $60,000 amid liquidations",
        "DeFi protocol hacked for $120M",
        "Bridge exploit drains funds",
        "Developers accused of rug pull",
        "Rug-pulls are up",
        "SEC sues crypto exchange",
        "Ether falls to all-time low",
        "Bitcoin ‘crash’ spooks traders",
        "Stablecoin depegs; sell-off spreads",
        "Exchange files for bankruptcy",
        "XRP slips 2.8% as traders weigh the Fed's next move",
        "Bitcoin slipped below $60,000 overnight",
        "Dogecoin sheds 5% overnight",
        "Solana stumbles, skids to a monthly low",
    ],
)
def test_bad_news(title: str) -> None:
    """Falls, crime, courts and failures sound bad."""
    assert tone(title) < -0.2


@pytest.mark.parametrize(
    "title",
    [
        "",
        "Bitcoin",
        "MicroStrategy to sell shares to buy bitcoin for its treasury",
        "Ethereum block number 20 million",
        "Interest in tokenized securities: what to know",
        "Like its peers, the Trust holds bonds",
    ],
)
def test_everyday_words_of_finance_are_no_mood(title: str) -> None:
    """Shares, securities, interest, treasuries and blocks say nothing, though VADER alone thinks they do."""
    assert tone(title) == 0


def test_negation_turns_it_round() -> None:
    """VADER's own rules hold for our words too."""
    assert tone("Analysts are not bullish") < 0 < tone("Analysts are bullish")
    assert tone("No crash in sight") > 0


def test_a_word_is_in_one_list_only() -> None:
    """What has a valence is not taken away, and valences are within VADER's scale."""
    assert not EVERYDAY & VALENCES.keys()
    assert all(-4 <= valence <= 4 and valence for valence in VALENCES.values())
    assert all(word == word.lower() and " " not in word for word in (*EVERYDAY, *VALENCES))


@given(st.text() | st.lists(st.sampled_from((*VALENCES, "not", "BUT", "very", "!!!", "🚀"))).map(" ".join))
def test_any_text_has_a_tone(title: str) -> None:
    """Whatever the text, a finite number from -1 to 1."""
    assert -1 <= tone(title) <= 1


def test_a_long_text_costs_no_more_than_a_headline() -> None:
    """What comes after 300 characters is not read."""
    assert tone("word " * 60 + "crash " * 100_000) == 0


def test_import_reads_no_lexicon() -> None:
    """The lexicon is read at the first question, not when the module is imported."""
    code = """
import workers.services.sentiment.tone as module
print(module._analyzer.cache_info().currsize)
module.tone("x")
print(module._analyzer.cache_info().currsize)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["0", "1"]


@pytest.mark.parametrize("feed", FEEDS)
def test_real_headlines(feed: str) -> None:
    """Titles that outlets really published have finite tones, and by far not all are silent."""
    paths = sorted((UPSTREAM / feed).glob("*.xml"))
    if not paths:
        pytest.skip("no recordings of real answers here")
    root = ET.fromstring(paths[0].read_text())  # noqa: S314
    titles = [title.text or "" for title in root.iterfind(".//item/title")]
    tones = [tone(title) for title in titles]
    assert len(tones) >= 19
    assert all(math.isfinite(value) for value in tones)
    assert sum(value != 0 for value in tones) >= len(tones) / 4
