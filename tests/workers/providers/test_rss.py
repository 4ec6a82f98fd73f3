"""What of a feed is read, and what is refused before feedparser sees it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from shared.errors import ProviderError
from workers.answers import Headline
from workers.providers.rss import parse_rss

ITEM = (
    "<item><title>Bitcoin slips</title><link>https://a.com/x</link><pubDate>Mon, 23 Nov 2026 10:00:00 +0000</pubDate>"
    "</item>"
)


def feed(items: str = ITEM, head: str = '<?xml version="1.0" encoding="utf-8"?>') -> bytes:
    return f'{head}<rss version="2.0"><channel><title>Acme</title>{items}</channel></rss>'.encode()


def parse(body: bytes) -> tuple[Headline, ...]:
    return parse_rss("acme", "Acme", body)


def test_an_item() -> None:
    """Title, link and time make an article; id and categories are not required."""
    (headline,) = parse(feed())
    assert (headline.title, headline.url, headline.outlet) == ("Bitcoin slips", "https://a.com/x", "Acme")
    assert (headline.published, headline.guid, headline.categories) == (1795428000.0, "", ())


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 23 Nov 2026 10:00:00 +0000", 1795428000.0),
        ("Mon, 23 Nov 2026 05:00:00 -0500", 1795428000.0),
        ("Mon, 23 Nov 2026 05:00:00 EST", 1795428000.0),
        ("Mon, 23 Nov 2026 10:00:00 GMT", 1795428000.0),
        ("2026-11-23T11:00:00+01:00", 1795428000.0),
        ("2026-11-23T10:00:00.5Z", 1795428000.0),
        ("Mon, 23 Nov 2026 10:00 UT", 1795428000.0),
        ("Mon, 23 Nov 2026 02:00:00 PST", 1795428000.0),
        ("Mon, 23 Nov 2026 15:30:00 +05:30", 1795428000.0),
    ],
)
def test_times_are_utc(date: str, seconds: float) -> None:
    """Whatever zone the feed gives, the time is unix seconds."""
    assert parse(feed(ITEM.replace("Mon, 23 Nov 2026 10:00:00 +0000", date)))[0].published == seconds


@pytest.mark.parametrize(
    "spoil",
    [
        ("<title>Bitcoin slips</title>", ""),
        ("Bitcoin slips", "<![CDATA[<b> </b>]]>"),
        ("<link>https://a.com/x</link>", ""),
        ("https://a.com/x", "javascript:alert(1)"),
        ("<pubDate>Mon, 23 Nov 2026 10:00:00 +0000</pubDate>", ""),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "yesterday"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "Mon, 23 Nov 2026 10:00:00 CET"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "Mon, 23 Nov 2026 10:00:00 IST"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "Mon, 23 Nov 2026 10:00:00 +9999"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "Mon, 31 Nov 2026 10:00:00 +0000"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "2026-11-23T10:00:00"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "2026-11-23"),
        ("Mon, 23 Nov 2026 10:00:00 +0000", "1795428000"),
    ],
)
def test_an_item_that_lacks_something_is_left_out(spoil: tuple[str, str]) -> None:
    """Without title, http link or time there is no article; alone, it is no feed.

    No time is invented: a day is none, nor is one in a zone that isn't told or whose name isn't known to all.
    """
    bad = ITEM.replace(*spoil)
    assert len(parse(feed(ITEM + bad))) == 1
    with pytest.raises(ProviderError, match="no item with title, link and time"):
        parse(feed(bad))


def test_an_empty_feed_is_refused() -> None:
    """No item at all is no answer."""
    with pytest.raises(ProviderError, match="no item in the feed"):
        parse(feed(""))


def test_a_broken_feed_is_refused_though_it_has_items() -> None:
    """feedparser would return the items before the break: a partial feed is refused."""
    with pytest.raises(ProviderError, match="not a whole feed"):
        parse(feed()[:-10])
    with pytest.raises(ProviderError, match="not a whole feed"):
        parse(feed(ITEM + "<item><title>A & B</title></item>"))


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss SYSTEM "http://127.0.0.1:1/dtd">',
        "<!doctype rss>",
        '<!-- \n<!DOCTYPE rss>\n<!ENTITY a "a"> -->',
    ],
)
def test_a_document_type_is_refused(head: str) -> None:
    """Entities that grow, files and addresses to be read, and what feedparser might take for such: refused unread."""
    with pytest.raises(ProviderError):
        parse(feed(head=head))


def test_other_encodings_are_refused() -> None:
    """Only UTF-8 is read, whatever a feed declares; so nothing hides in another encoding."""
    for body in (feed().decode().encode("utf-16"), feed(ITEM.replace("slips", "sl\xefps")).decode().encode("latin-1")):
        with pytest.raises(ProviderError, match=r"UTF-8|not a"):
            parse(body)
    umlaut = ITEM.replace("slips", "fällt")
    assert parse(feed(umlaut, '<?xml version="1.0" encoding="utf-7"?>'))[0].title == "Bitcoin fällt"
    assert parse(b"\xef\xbb\xbf" + feed())


def test_a_file_is_never_opened(tmp_path: Path) -> None:
    """feedparser opens bytes that are a file's name: a feed that is one is no feed."""
    path = tmp_path / "feed.xml"
    path.write_bytes(feed())
    with pytest.raises(ProviderError):
        parse(str(path).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"<html><head><title>Acme</title></head><body><item/></body></html>",
        b"<?xml version='1.0'?><error>Access denied</error>",
        feed("<item/>" * 501),
        feed((ITEM.removesuffix("</item>") + "<x/>" * 50 + "</item>") * 450),
        feed(ITEM + "<category/>" * 201),
        feed("<x>" * 150 + "</x>" * 150),
        feed("<x " + " ".join(f'a{n}=""' for n in range(41)) + "/>"),
        feed("".join(f'<x xmlns:a{n}="u{n}"/>' for n in range(41))),
        feed(ITEM + f"<item><author>{'a.' * 129}</author></item>"),
    ],
    ids=["html", "error", "items", "elements", "in item", "depth", "attributes", "name spaces", "text"],
)
def test_what_is_no_feed_or_too_much_of_one_is_refused(body: bytes) -> None:
    """Another document, and more items, elements, attributes or text than a feed has: feedparser would take minutes."""
    with pytest.raises(ProviderError, match=r"another document|more items|longer texts"):
        parse(body)


def test_what_feedparser_fails_on_is_a_provider_error() -> None:
    """feedparser's own KeyErrors and the like don't get through."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for items in ("<category><item/></category>", "<textInput><title/></textInput>", "<image><item/></image>"):
            with pytest.raises(ProviderError):
                parse(feed(items))


def test_long_texts_are_bounded() -> None:
    """A title is cut; a too long id or category is dropped."""
    long = ITEM.replace("Bitcoin slips", "x" * 2000).replace(
        "</item>",
        f"<guid isPermaLink='false'>{'g' * 600}</guid><category>{'c' * 61}</category><category>Ok</category></item>",
    )
    (headline,) = parse(feed(long))
    assert len(headline.title) == 300
    assert headline.title.endswith("…")
    assert (headline.guid, headline.categories) == ("", ("Ok",))
