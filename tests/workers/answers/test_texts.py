"""Text and links of feeds, made fit to publish."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.answers.texts import canonical_link, link_key, plain, title_key


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Bitcoin  slips\n 2.1% ", "Bitcoin slips 2.1%"),
        ("It&#039;s &amp;amp; &quot;on&quot;", 'It\'s & "on"'),
        ("It&amp;#039;s escaped twice", "It's escaped twice"),
        ("It\x92s &#147;on&#148; \x96 now\x85", "It’s “on” – now…"),
        ("<p>One</p><p>Two</p>", "One Two"),
        ("Acme<em>Coin</em>, <b>up</b>", "AcmeCoin, up"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;Safe", "Safe"),
        ("<script>alert(1)", ""),
        ("A<!-- hidden -->B", "A B"),
        ('<img src="a.jpg" alt="x > y">Caption', "Caption"),
        ("<img src=x onerror=alert(1)>Boo", "Boo"),
        ("BTC < $20k and > $10k", "BTC < $20k and > $10k"),
        ("I <3 Bitcoin", "I <3 Bitcoin"),
        ("Up\u202e%99 ni\u202c\u2066now\u2069\u200b\ufeff", "Up%99 ninow"),
        ("Nul\x00l\x07 and\u00a0space", "Null and space"),
        ("Family \U0001f468\u200d\U0001f469 ok", "Family \U0001f468\u200d\U0001f469 ok"),
        ("<b></b>", ""),
    ],
)
def test_plain_text(raw: str, clean: str) -> None:
    """HTML, entities (twice escaped too), control and direction characters go; white space is folded."""
    assert plain(raw, 300) == clean


def test_long_text_is_cut() -> None:
    """A text longer than allowed ends with an ellipsis, within the limit."""
    assert plain("word " * 100, 20) == "word word word word…"
    assert plain("x" * 20, 20) == "x" * 20
    assert len(plain("x" * 21, 20)) == 20


@given(st.text() | st.text("<>&;#/!-\"'ab3 lt", max_size=200))
def test_plain_text_is_plain_whatever_comes(raw: str) -> None:
    """No control character, no white space at the ends or doubled, never longer than allowed."""
    clean = plain(raw, 50)
    assert len(clean) <= 50
    assert clean == " ".join(clean.split())
    assert all(unicodedata.category(char)[0] != "C" or char in "\u200c\u200d" for char in clean)


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        ("HTTPS://WWW.CoinDesk.com/Markets/A/?utm_source=rss&utm_medium=x#top", "https://www.coindesk.com/Markets/A"),
        ("https://a.com/?p=352201&fbclid=z", "https://a.com?p=352201"),
        ("https://a.com/?utm_source=x", "https://a.com"),
        ("https://a.com:443/x", "https://a.com/x"),
        ("http://a.com:80/x", "http://a.com/x"),
        ("https://a.com:8443/x", "https://a.com:8443/x"),
        ("https://a.com./x//", "https://a.com/x"),
        ("https://a.com/x?b=2&&a=1&UTM_Campaign=q", "https://a.com/x?b=2&a=1"),
        ("https://a.com/x?%75tm_source=q", "https://a.com/x"),
        ("  https://a.com/x\n", "https://a.com/x"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://a.com/%C3%A4", "https://a.com/%C3%A4"),
        ("https://a.com/\u202egpj", "https://a.com/%E2%80%AEgpj"),
    ],
)
def test_canonical_links(link: str, canonical: str) -> None:
    """Scheme and host in lower case; no fragment, tracking parameter, default port or slash at the end; ASCII."""
    assert canonical_link(link) == canonical


@pytest.mark.parametrize(
    "link",
    [
        *(
            "",
            "/news/1",
            "news",
            "//a.com/x",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://a.com/x",
            "mailto:a@b.c",
        ),
        *("https://", "https:///x", "https://localhost/x", "https://user@a.com/", "https://a.com:99999/", "http://["),
        *(
            "https://a.com\\@b.com/",
            "https://a.com/<script>",
            'https://a.com/"x',
            "https://a.com/a b",
            "https://a..com/",
        ),
        "https://[::1]/x",
        "https://a.com/" + "x" * 2048,
    ],
)
def test_what_is_no_link(link: str) -> None:
    """Other schemes, relative links, user names, other hosts than they show, what is malformed or endless: none."""
    assert canonical_link(link) is None


@given(
    st.text()
    | st.builds(
        "https://{}/{}?{}#{}".format, st.sampled_from(("a.com", "B.co:80")), *[st.text("aäß%/&=?. ", max_size=9)] * 3
    )
)
def test_a_canonical_link_is_its_own(link: str) -> None:
    """A canonical link is unchanged, ASCII, with http or https."""
    canonical = canonical_link(link)
    if canonical is not None:
        assert canonical_link(canonical) == canonical
        assert canonical.isascii()
        assert canonical.startswith(("http://", "https://"))
        assert "?" in canonical or not canonical.endswith("/")


def test_keys_fold_what_does_not_matter() -> None:
    """One article at http or https, with or without www; one title in any case, quotes and punctuation."""
    assert link_key("http://www.a.com/x") == link_key("https://a.com/x") != link_key("https://a.com/y")
    assert title_key("Bitcoin’s “Big” Day – At last!") == title_key("bitcoin's big day: at last")
    assert title_key("Up 2.1%") != title_key("Up 2.2%")
    assert title_key("🚀 — !") == ""
