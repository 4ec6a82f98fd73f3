"""What of an item is read."""

from __future__ import annotations

import calendar
from typing import Any

import feedparser
import pytest

from shared.errors import ProviderError
from tests.places import RECORDED, UPSTREAM
from tests.workers.providers.feeds import DATE, HEAD, MOMENT, PARSERS, feed, item
from workers.answers import Headline
from workers.answers.texts import canonical_link, plain
from workers.providers.rss import parse_rss

ITEM = item()
NAMESPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:d2="http://purl.org/dc/elements/1.1/" '
    'xmlns:a10="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/"'
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>Acme</title><link href="https://a.com/"/>'
    "<entry><title type='html'>Bitcoin &lt;b&gt;slips&lt;/b&gt;</title><id>tag:a.com,1</id>"
    "<link rel='edit' href='https://a.com/edit'/><link href='https://a.com/x'/>"
    "<published>2026-11-23T10:00:00Z</published><updated>2026-11-24T10:00:00Z</updated>"
    "<category term='markets' label='Markets'/></entry></feed>"
)
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://a.com/"><title>Acme</title>'
    "<items><rdf:Seq/></items></channel><item rdf:about='https://a.com/x'><title>Bitcoin slips</title>"
    "<link>https://a.com/x</link><dc:date>2026-11-23T10:00:00+00:00</dc:date><dc:subject>Markets</dc:subject></item>"
    "</rdf:RDF>"
)


def parse(body: bytes) -> tuple[Headline, ...]:
    return parse_rss("acme", "Acme", body)


def test_an_item() -> None:
    """Title, link and time make an article; id and categories are not required."""
    (headline,) = parse(feed(ITEM))
    assert (headline.title, headline.url, headline.outlet) == ("Bitcoin slips", "https://a.com/x", "Acme")
    assert (headline.published, headline.guid, headline.categories) == (MOMENT, "", ())


@pytest.mark.parametrize("body", [ATOM, RDF, ATOM.replace("<", "<a10:").replace("<a10:/", "</a10:")], ids=str.__len__)
def test_atom_and_rdf(body: str) -> None:
    """Atom, with a prefix too, and RSS 1.0 are read as RSS 2.0 is."""
    if "<a10:feed" in body:
        body = body.replace("xmlns=", "xmlns:a10=")
    (headline,) = parse(body.encode())
    assert (headline.title, headline.url, headline.published) == ("Bitcoin slips", "https://a.com/x", MOMENT)
    assert headline.categories == ("Markets",)


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 23 Nov 2026 05:00:00 -0500", MOMENT),
        ("Mon, 23 Nov 2026 05:00:00 EST", MOMENT),
        ("Mon, 23 Nov 2026 10:00 UT", MOMENT),
        ("2026-11-23T11:00:00+01:00", MOMENT),
        ("2026-11-23T05:00:00 EST", MOMENT),
        ("2026-11-23 05:00:00 -0500 EST m=+0.1", MOMENT),
        ("<![CDATA[ Mon, 23 Nov 2026 10:00:00 GMT ]]>", MOMENT),
    ],
)
def test_times_are_utc(date: str, seconds: float) -> None:
    """Whatever form and zone the feed gives, the time is unix seconds. All forms are in test_dates."""
    assert parse(feed(ITEM.replace(DATE, date)))[0].published == seconds


DATES = (
    f"<pubDate>{DATE}</pubDate>",
    f"<PubDate>{DATE}</PubDate>",
    "<dc:date>2026-11-23T10:00:00Z</dc:date>",
    "<d2:date>2026-11-23T10:00:00Z</d2:date>",
    "<a10:published>2026-11-23T10:00:00Z</a10:published>",
    f"<pubDate>23/11/2026 10:00</pubDate><pubDate>{DATE}</pubDate>",
    "<pubDate>23/11/2026 10:00</pubDate><dc:date>2026-11-23T10:00:00Z</dc:date>",
    f"<dc:date>2026-11-22T10:00:00Z</dc:date><pubDate>{DATE}</pubDate>",
    f"<a10:updated>2026-11-24T10:00:00Z</a10:updated><pubDate>{DATE}</pubDate>",
    f"<media:content><pubDate>Tue, 24 Nov 2026 10:00:00 GMT</pubDate></media:content><pubDate>{DATE}</pubDate>",
)


@pytest.mark.parametrize("dates", DATES)
def test_the_time_of_publication(dates: str) -> None:
    """It is in pubDate, else in other vocabularies; the first that can be read counts, and no time of a change."""
    body = feed(ITEM.replace(f"<pubDate>{DATE}</pubDate>", dates)).replace(b"<rss", f"<rss {NAMESPACES}".encode())
    assert [headline.published for headline in parse(body)] == [MOMENT]


@pytest.mark.parametrize(
    "spoil",
    [
        ("<title>Bitcoin slips</title>", ""),
        ("Bitcoin slips", "<![CDATA[<b> </b>]]>"),
        ("<link>https://a.com/x</link>", ""),
        ("https://a.com/x", "javascript:alert(1)"),
        ("https://a.com/x", "https://a.com/" + "x" * 3000),
        (f"<pubDate>{DATE}</pubDate>", ""),
        ("pubDate>", "updated>"),
        (DATE, "yesterday"),
        (DATE, "Mon, 23 Nov 2026 10:00:00 CET"),
        (DATE, "Mon, 23 Nov 2026 10:00:00 IST"),
        (DATE, "Mon, 23 Nov 2026 10:00:00 +9999"),
        (DATE, "Mon, 31 Nov 2026 10:00:00 +0000"),
        (DATE, "11/12/2026 10:00:00 +0000"),
        (DATE, "2026-11-23T10:00:00"),
        (DATE, "2026-11-23T10:00:00 IST"),
        (DATE, "2026-11-23"),
        (DATE, "1795428000"),
    ],
)
def test_an_item_that_lacks_something_is_left_out(spoil: tuple[str, str]) -> None:
    """Without title, http link or time there is no article; alone, it is no feed.

    No time is invented: a day is none, nor is one in a zone that isn't told or whose name isn't known to all.
    """
    bad = ITEM.replace(*spoil)
    assert len(parse(feed(bad, ITEM, bad))) == 1
    with pytest.raises(ProviderError, match="no item with title, link and time"):
        parse(feed(bad))


@pytest.mark.parametrize(
    "links",
    [
        "<link>\n https://a.com/x\n</link>",
        "<link/><guid>https://a.com/x</guid>",
        "<guid isPermaLink='true'>https://a.com/x</guid>",
        "<link>/x</link><guid>https://a.com/x</guid>",
        "<a10:link rel='self' href='https://a.com/self'/><link>https://a.com/x</link>",
        "<a10:link href='https://a.com/x'/>",
        "<media:content><link>https://a.com/image</link></media:content><link>https://a.com/x</link>",
        "<link>https://a.com/x?utm_source=rss&utm_medium=feed</link>",
    ],
)
def test_the_link_of_an_item(links: str) -> None:
    """The link is the item's own, to the article; a guid is one if it may be."""
    body = feed(ITEM.replace("<link>https://a.com/x</link>", links)).replace(b"<rss", f"<rss {NAMESPACES}".encode())
    assert [headline.url for headline in parse(body)] == ["https://a.com/x"]
    bad = ITEM.replace("<link>https://a.com/x</link>", "<guid isPermaLink='false'>https://a.com/x</guid>")
    assert len(parse(feed(ITEM, bad))) == 1


@pytest.mark.parametrize(
    "title",
    [
        "<media:title>Photo</media:title><title>Bitcoin slips</title>",
        "<media:group><title>Photo</title></media:group><title>Bitcoin slips</title>",
        "<title/><title>Bitcoin slips</title>",
        "<dc:title>Bitcoin slips</dc:title>",
        "<title><![CDATA[Bitcoin &amp;#115;lips]]></title>",
        "<title>Bitcoin <b>slips</b></title>",
        "<TITLE>Bitcoin slips</TITLE>",
    ],
)
def test_the_title_of_an_item(title: str) -> None:
    """The title is the item's own, not that of something in it."""
    body = feed(ITEM.replace("<title>Bitcoin slips</title>", title)).replace(b"<rss", f"<rss {NAMESPACES}".encode())
    assert [headline.title for headline in parse(body)] == ["Bitcoin slips"]


def test_an_empty_feed_is_refused() -> None:
    """No item at all is no answer."""
    for items in ("", "<category><item/></category>", "<textInput><title/></textInput>", "<image><item/></image>"):
        with pytest.raises(ProviderError, match="no item in the feed"):
            parse(feed(items))


def test_long_texts_are_bounded() -> None:
    """A title is cut; a too long id or category is dropped."""
    long = item(
        "x" * 2000,
        extra=f"<guid isPermaLink='false'>{'g' * 600}</guid><category>{'c' * 61}</category><category>Ok</category>",
    )
    (headline,) = parse(feed(long))
    assert len(headline.title) == 300
    assert headline.title.endswith("…")
    assert (headline.guid, headline.categories) == ("", ("Ok",))


def test_a_long_feed_is_read_as_far_as_documented() -> None:
    """Of more than five hundred items the first are read, which are the newest; the last of them stays as it is."""
    headlines = parse(feed(*(item(f"Story {n}", f"{n}") for n in range(510))))
    assert [headline.title for headline in headlines] == [f"Story {n}" for n in range(500)]
    assert headlines[-1].url == "https://a.com/499"


def test_a_file_is_never_opened(tmp_path: object) -> None:
    """Bytes that are a file's name are no feed."""
    for body in (f"{tmp_path}/feed.xml", "https://a.com/feed", HEAD):
        with pytest.raises(ProviderError):
            parse(body.encode())


@pytest.mark.parametrize("name", PARSERS)
def test_another_reader_reads_the_same(name: str) -> None:
    """Of real feeds, which are well-formed, feedparser reads the same titles, links, times and ids."""
    paths = [RECORDED / name / "feed.xml", *(UPSTREAM / f"rss_{name}").glob("*.xml")]
    for path in paths:
        entries: list[Any] = feedparser.parse(path.read_bytes(), sanitize_html=False).entries
        theirs = [
            (
                plain(entry.title, 300),
                canonical_link(entry.link),
                calendar.timegm(entry.published_parsed),
                entry.get("id", "").strip(),
            )
            for entry in entries
            if entry.get("published_parsed")
            and plain(entry.get("title", ""), 300)
            and canonical_link(entry.get("link", ""))
        ]
        ours = [(one.title, one.url, one.published, one.guid) for one in PARSERS[name](path.read_bytes())]
        assert ours == theirs
        assert ours
