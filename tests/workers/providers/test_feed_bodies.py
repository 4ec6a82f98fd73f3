"""Mistakes of feeds cost what they are in, for every outlet alike; what is no feed, or not a whole one, is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ProviderError
from tests.places import RECORDED
from tests.workers.providers.feeds import HEAD, PARSERS, feed, feed_text, item
from workers.asking.rows import noting
from workers.providers.rss import MAX_FEED, parse_rss

FIRST, LAST = item("Story 1", "1"), item("Story 3", "3")
COMMENT = "<!-- \n<!DOCTYPE rss>\n<!ENTITY a 'a'> -->"


def titles(body: bytes, name: str = "coindesk") -> list[str]:
    return [headline.title for headline in PARSERS[name](body)]


def around(middle: str) -> bytes:
    """A feed of three items, the one in the middle with this title."""
    return feed(FIRST, item(middle, "2"), LAST)


WHOLE = feed(FIRST, LAST)
BARE = feed(FIRST, LAST, head="")
DC = '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">'
BODIES = {
    "a blank line first": b"\n" + WHOLE,
    "white space first": b" \t\r\n" + WHOLE,
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "two byte order marks": b"\xef\xbb\xbf" * 2 + WHOLE,
    "a mark and a blank line": b"\xef\xbb\xbf\n" + WHOLE,
    "a blank line and a mark": b"\n\xef\xbb\xbf" + WHOLE,
    "a control character first": b"\0\x08" + WHOLE,
    "no declaration": BARE,
    "a declaration without encoding": b'<?xml version="1.0"?>' + BARE,
    "a declaration of XML 1.1": b'<?xml version="1.1"?>' + BARE,
    "a declaration in capitals": b'<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>' + BARE,
    "a comment first": b"<!-- Acme -->" + BARE,
    "a comment before the declaration": b"<!-- Acme -->" + WHOLE,
    "a comment with hyphens": feed(FIRST, "<!-- a -- b --->", LAST),
    "a comment with declarations": feed(FIRST, LAST, head=COMMENT),
    "a style sheet": b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="a.xsl"?>' + BARE,
    "code of the template": feed(FIRST, "<?php echo 1 ?>", LAST),
    "two documents": WHOLE + b"\n" + feed(item("Another")),
    "two roots": WHOLE + feed(item("Another"), head=""),
    "a second document that is cut": WHOLE + feed(item("Another"))[:-20],
    "text at the end": WHOLE + b"\nWarning: <b>out of memory",
    "a script at the end": WHOLE + b"<script>a && b</script>",
    "a zero byte at the end": WHOLE + b"\0",
    "an undeclared prefix": feed(FIRST, LAST.replace("</item>", "<snf:logo>x</snf:logo></item>")),
    "an undeclared prefix of an attribute": feed(FIRST, LAST.replace("<title>", "<title xml:lang='en' snf:a='b'>")),
    "undeclared usual prefixes": feed(
        FIRST, LAST.replace("</item>", "<dc:creator>A</dc:creator><media:content/></item>")
    ),
    "a long description": feed(FIRST, LAST.replace("</item>", f"<description>{'word ' * 9000}</description></item>")),
    "a long foreign text": WHOLE.replace(b'<rss version="2.0"', DC.encode()[:-1], 1).replace(
        b"</item>", b"<dc:description>" + b"word " * 600 + b"</dc:description></item>", 1
    ),
    "forty authors": feed(FIRST, LAST.replace("</item>", f"<dc:creator>{'A. Author, ' * 40}</dc:creator></item>")),
    "many elements": feed(FIRST, LAST.replace("</item>", "<category>c</category>" * 400 + "</item>")),
    "many attributes": feed(FIRST, LAST.replace("<title>", "<title " + " ".join(f"a{n}=''" for n in range(99)) + ">")),
    "an attribute twice": feed(
        FIRST, LAST.replace("</item>", "<guid isPermaLink='false' isPermaLink='true'>7</guid></item>")
    ),
    "a name space twice": WHOLE.replace(b"<rss ", b"<rss xmlns:a='b' xmlns:a='b' xmlns:c=\"d\" xmlns:c=\"d\" "),
    "many name spaces": feed(FIRST, *(f'<x xmlns:a{n}="u{n}"/>' for n in range(99)), LAST),
    "deep elements": feed(FIRST, "<x>" * 200 + "</x>" * 200, LAST),
    "a bare ampersand": feed(FIRST, "<image><url>https://a.com/?a=1&b=2</url></image>", LAST),
    "an ampersand in an attribute": feed(FIRST, LAST.replace("</item>", "<enclosure url='a?b&c=d' x='R&D'/></item>")),
    "HTML without CDATA": feed(
        FIRST, LAST.replace("</item>", "<description>5 < 6 & 7 > 3 &nbsp;</description></item>")
    ),
    "the end of CDATA alone": feed(FIRST, LAST.replace("</item>", "<description>a[b[0]]>1</description></item>")),
    "UTF-16 with a mark": feed_text(FIRST, LAST).encode("utf-16"),
    "UTF-16 big-endian": b"\xfe\xff"
    + feed_text(FIRST, LAST, head='<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16-be"),
    "UTF-16 without a mark": feed_text(FIRST, LAST).encode("utf-16-le"),
    "UTF-16 big-endian without a mark": feed_text(FIRST, LAST).encode("utf-16-be"),
    "UTF-16 declared only": feed(FIRST, LAST, head='<?xml version="1.0" encoding="UTF-16"?>'),
    "an unknown encoding, in ASCII": feed(FIRST, LAST, head='<?xml version="1.0" encoding="x-acme"?>'),
}
"""Feeds of two items with a mistake, or something unusual, that costs nothing."""


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_mistake_costs_nothing_else(body: bytes, name: str) -> None:
    """Every outlet's feed is read in spite of it."""
    assert titles(body, name) == ["Story 1", "Story 3"]


TITLES = {
    "Bit\x08coin": "Bitcoin",
    "Bit\0coin\x1f": "Bitcoin",
    "Bit&#8;coin&#x0;&#31;": "Bitcoin",
    "Bit\ufffecoin\uffff": "Bitcoin",
    "Fish & chips &amp; more": "Fish & chips & more",
    "R&D; AT&T": "R&D; AT&T",
    "&copy; &eacute;&nbsp;&#233;&#xE9;&#XE9;": "© é ééé",
    "a &unknown; b": "a &unknown; b",
    "<![CDATA[a & b &lt; c\x08]]> & d": "a & b < c & d",
    "BTC < 50k, <3": "BTC < 50k, <3",
    "🚀 &#55357;&#56960; &#xD83D;&#xDE80;": "🚀 🚀 🚀",
    "half &#55357; emoji &#xDE80;": "half \ufffd emoji \ufffd",
    "&#99999999;": "\ufffd",
    "Caf\u00e9": "Café",
}


@pytest.mark.parametrize(("title", "read"), TITLES.items())
def test_a_mistake_in_a_text_costs_that_character(title: str, read: str) -> None:
    """The rest of the text, and all other items, are read."""
    assert titles(around(title)) == ["Story 1", read, "Story 3"]


ENCODED = {
    ("ISO-8859-1", "latin-1"): "Café £",
    ("iso-8859-1", "cp1252"): "“Café” – €",
    ("latin1", "latin-1"): "Café",
    ("windows-1252", "cp1252"): "“Café” – €",
    ("ISO-8859-15", "iso8859-15"): "Café €",
    ("windows-1251", "cp1251"): "Биткойн",
    ("UTF-8", "utf-8"): "Café “€” 比特币",
    ("utf-8", "utf-16"): "Café “€” 比特币",
    ("ISO-8859-1", "utf-8"): "Café “€” 比特币",  # declared, but the bytes are UTF-8
    ("utf-7", "utf-8"): "Café",
}


@pytest.mark.parametrize(("encodings", "title"), ENCODED.items())
def test_a_declared_encoding_is_believed_if_it_can_be_true(encodings: tuple[str, str], title: str) -> None:
    """UTF-8 and UTF-16 show themselves; else the declaration counts."""
    declared, true = encodings
    text = feed_text(FIRST, item(title, "2"), LAST, head=f"<?xml version='1.0' encoding='{declared}'?>")
    assert titles(text.encode(true)) == ["Story 1", title, "Story 3"]


@pytest.mark.parametrize("head", [HEAD, "", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="us-ascii"?>'])
def test_bytes_that_are_not_utf_8_cost_a_character_each(head: str) -> None:
    """Latin 1 that is declared as UTF-8, or not at all, and a character that was cut: the rest is read."""
    latin = feed_text(FIRST, item("Café prices", "2"), LAST, head=head).encode("latin-1")
    assert titles(latin) == ["Story 1", "Caf\ufffd prices", "Story 3"]
    cut = around("Café").replace(b"\xc3\xa9", b"\xc3")
    assert titles(cut) == ["Story 1", "Caf\ufffd", "Story 3"]


def test_an_encoding_that_is_not_known_is_refused() -> None:
    """Titles of nothing but replacement characters are none; and some of Python's codecs take minutes."""
    for declared in ("shift_jis", "utf-7", "punycode", "unicode_escape", "zlib", "x-acme"):
        text = feed_text(item("Café"), head=f"<?xml version='1.0' encoding='{declared}'?>")
        with pytest.raises(ProviderError, match=f"encoding {declared} is not read"):
            titles(text.encode("latin-1"))


MISFITS = {
    "a tag without its end": item("Odd", "2", "<description><p>text</description>"),
    "an end without its tag": item("Odd", "2", "<description>text</p></description>"),
    "an attribute without quotes": item("Odd", "2", "<img src=x>"),
    "no time": item("Odd", "2").replace("pubDate", "x"),
    "no link": item("Odd", "ja va"),
    "nothing": "<item/>",
    "a long link": item("Odd", "y" * 5000),
}


@pytest.mark.parametrize("odd", MISFITS.values(), ids=MISFITS)
def test_an_odd_item_costs_itself(odd: str) -> None:
    """An item whose markup or facts don't fit is left out; the others are read."""
    assert titles(feed(FIRST, odd, LAST)) == ["Story 1", "Story 3"]
    assert titles(feed(FIRST, odd, LAST, odd)) == ["Story 1", "Story 3"]
    with pytest.raises(ProviderError):
        titles(feed(odd))


def test_what_is_left_out_is_noted() -> None:
    """Items are counted, and those that are left out by what they lack: a format that drifts is noticed."""
    with noting() as misfits:
        titles(feed(FIRST, *MISFITS.values(), LAST))
    assert misfits.read == 2 + len(MISFITS)
    assert misfits.rows == {"item": 3, "pubDate": 1, "link": 2, "title": 1}
    with noting() as misfits:
        titles(feed(*(item(f"Story {n}", f"{n}") for n in range(510))))
    assert (misfits.read, misfits.rows) == (510, {"item": 10})
    with noting() as misfits:
        titles(WHOLE)
    assert (misfits.read, misfits.rows, misfits.figures) == (2, {}, {})


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_odd_items_anywhere_vanish_alone(name: str, data: st.DataObject) -> None:
    """Odd items between those of a recorded feed are left out, and change nothing else."""
    body = (RECORDED / name / "feed.xml").read_text()
    pieces = body.split("<item>")
    odd = st.lists(st.sampled_from([*MISFITS.values()]), max_size=2).map("".join)
    places = data.draw(st.lists(odd, min_size=len(pieces) - 1, max_size=len(pieces) - 1))
    spoilt = pieces[0] + "".join(f"{extra}<item>{piece}" for extra, piece in zip(places, pieces[1:], strict=True))
    assert PARSERS[name](spoilt.encode()) == PARSERS[name](body.encode())


NO_FEEDS = {
    "a page": b"<!DOCTYPE html><html><head><title>Acme</title></head><body>1015</body></html>",
    "a page without a document type": b"<html><head><title>Acme</title></head><body><item/></body></html>",
    "a page with a feed in it": b"<html><body>" + BARE + b"</body></html>",
    "another document": b"<?xml version='1.0'?><error>Access denied</error>",
    "a list of links": b"<urlset><item/></urlset>",
    "text": b"error code: 1020",
    "JSON": b'{"rss": {"channel": {"item": []}}}',
    "nothing": b"",
    "white space": b" \r\n",
    "zero bytes": bytes(999),
    "text before the feed": b"Warning: out of memory" + WHOLE,
    "entities": feed(FIRST, head='<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'),
    "entities that are used": feed(item("&b;"), head='<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'),
    "a file": feed(item("&x;"), head='<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    "an address": feed(FIRST, head='<!DOCTYPE rss SYSTEM "http://127.0.0.1:1/dtd">'),
    "a document type in small letters": feed(FIRST, head="<!doctype rss>"),
    "a document type after a mistake": feed(item("a & b"), head='<!DOCTYPE rss [<!ENTITY a "aaaa">]>'),
    "too many elements": feed(*["<item>" + "<x/>" * 50 + "</item>"] * 450),
}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("body", NO_FEEDS.values(), ids=NO_FEEDS)
def test_what_is_no_feed_is_refused(body: bytes, name: str) -> None:
    """Pages, other documents and document types are refused unread, with the outlet's name."""
    with pytest.raises(ProviderError) as caught:
        titles(body, name)
    assert caught.value.provider == name


@pytest.mark.parametrize(
    "body",
    [
        around("Story 2"),
        around("a & b\x08 &nbsp; <3"),
        feed(FIRST, MISFITS["a tag without its end"], LAST),
        b"\n\xef\xbb\xbf" + WHOLE,
        around("Café").decode().encode("utf-16"),
        feed(FIRST, item("<![CDATA[a]]>", "2", "<!-- b --><?c d?>"), LAST),
    ],
)
def test_a_feed_that_is_cut_is_refused(body: bytes) -> None:
    """A prefix of a feed is refused, though its mistakes would be forgiven, and though another feed follows."""
    for end in range(len(body.rstrip(b"\0")) - 2, 0, -3):
        with pytest.raises(ProviderError):
            titles(body[:end])
    for end in (150, 200, 300):
        with pytest.raises(ProviderError):
            titles(body[:end] + WHOLE)


def longest(piece: bytes) -> bytes:
    """As many of `piece` as a feed may have."""
    return (b"<rss><channel>" + piece * (MAX_FEED // len(piece)))[:MAX_FEED]


PIECES = [
    *(
        b"&",
        b"&x;",
        b"&nbsp;",
        b"&#8;",
        b"&#55357;",
        b"<",
        b"< ",
        b"<a>",
        b"<a/>",
        b"<!--",
        b"<!-- -- -->",
        b"<?",
        b"<?a?>",
    ),
    *(
        b"<![CDATA[",
        b"<![CDATA[]]>",
        b"]]>",
        b"<item>",
        b"<item></item>",
        b"<item><a></item>",
        b"</item>",
        b"<item ",
        b" a=''",
    ),
    *(b"\x08", b"\xff", b"\xc3", b"\0", b" ", b"\xef\xbb\xbf", b"<item><title>", b"<b>x</b>", b"<a xmlns:b='c'/>"),
    *(b"\x08<a b='c' b='c'/>", b"&<a b='", b"<a b=c", b"<a b='<"),
    b"<item><pubDate>" + b"(" * 199 + b"</pubDate></item>",
    b"<item><title>" + b"&lt;" * 1000 + b"</title><link>https://a.com/" + b"x" * 2000 + b"</link></item>",
]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: repr(piece[:20]))
def test_a_hostile_feed_costs_no_seconds(piece: bytes) -> None:
    """Whatever a feed repeats, as often as its size allows, is refused in less than a second of one core."""
    start = time.process_time()
    with pytest.raises(ProviderError):
        parse_rss("acme", "Acme", longest(piece))
    assert time.process_time() - start < 1.5  # tests share the core's caches


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_feed_with_anything_in_it_is_read_or_refused(data: st.DataObject) -> None:
    """Bytes put anywhere into a feed raise nothing but ProviderError, and never change the other items."""
    body = around("Story 2")
    at = data.draw(st.integers(0, len(body)))
    pieces = (
        st.sampled_from([piece[:40] for piece in PIECES]) | st.binary(max_size=6) | st.text(max_size=6).map(str.encode)
    )
    try:
        read = PARSERS["decrypt"](body[:at] + data.draw(pieces) + body[at:])
    except ProviderError:
        return
    for headline in read:
        assert headline.published == 1795428000.0
