"""A body is judged by what it is, whatever its label says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.places import RECORDED
from workers.asking.pages import is_page

ANSWERS = [path for path in sorted(RECORDED.glob("*/*")) if not path.name.endswith(".expected.json")]
RSS = b'<?xml version="1.0"?><rss version="2.0"><channel><title>Acme</title></channel></rss>'
LABELS = ("", "text/html", "text/html; charset=utf-8", "TEXT/HTML", "application/json", "text/plain", "application/xml")
JSON = (
    b"{}",
    b" \r\n[1]",
    b"\xef\xbb\xbf{}",
    b"7",
    b"-1.5",
    b'"<html>"',
    b"null",
    b"true",
    b"00000000000000000001abcdef",
    b'{"a": "<html></html>"}',
)
FEEDS = (
    RSS,
    b"\n" + RSS,
    b"\xef\xbb\xbf" + RSS,
    b"<!-- <html> -->" + RSS,
    b"<rss/>",
    b'<feed xmlns="http://www.w3.org/2005/Atom"/>',
    b"<rdf:RDF/>",
    RSS.decode().encode("utf-16"),
    RSS.replace(b"Acme", b"<![CDATA[<!DOCTYPE html><html>]]>"),
    b"<?xml version='1.0'?><?xml-stylesheet href='x.xsl'?><!-- made by Acme -->" + RSS[21:],
)
PAGES = (
    b"<!DOCTYPE html><html></html>",
    b"\n\n <!doctype HTML>",
    b"<html><head><title>Access denied</title></head></html>",
    b"<HTML\nlang='en'>",
    b"<!-- a -->\n<!-- b --> <html>",
    b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html/>',
    b"\xef\xbb\xbf<!DOCTYPE html>",
    b"<head><title>502 Bad Gateway</title></head>",
    b"<center><h1>504 Gateway Time-out</h1></center>",
    "<!DOCTYPE html><html></html>".encode("utf-16"),
    b"<script>location.reload()</script>",
)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("body", JSON)
def test_json_is_data(body: bytes, label: str) -> None:
    """JSON is read, though its server labels it as HTML."""
    assert not is_page(body, label, markup=False)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("body", FEEDS)
def test_a_feed_is_data_where_one_was_asked_for(body: bytes, label: str) -> None:
    """A feed is read, though its server labels it as HTML; in the place of JSON it is none."""
    assert not is_page(body, label, markup=True)
    assert is_page(body, label, markup=False)


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_answer_of_any_provider_is_a_page(path: Path) -> None:
    """Every recorded answer of every provider is data, whatever its label."""
    body = path.read_bytes()
    for label in LABELS:
        assert not is_page(body, label, markup=path.suffix == ".xml")
        assert not is_page(b"\xef\xbb\xbf\r\n" + body, label, markup=path.suffix == ".xml")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("markup", [False, True])
@pytest.mark.parametrize("body", PAGES)
def test_a_page_is_none(body: bytes, label: str, markup: bool) -> None:
    """A page in the place of data is a page, though it is labelled as data."""
    assert is_page(body, label, markup=markup)


@pytest.mark.parametrize(("label", "page"), [("text/html", True), ("text/plain", False), ("", False)])
def test_a_notice_is_a_page_if_it_is_labelled_so(label: str, page: bool) -> None:
    """Text that is neither markup nor JSON is for the parser to refuse, unless its label says that it is HTML."""
    for body in (b"Access denied", b"error code: 1020", b"403 Forbidden", b"not found", b"false alarm"):
        assert is_page(body, label, markup=False) is page
        assert is_page(body, label, markup=True) is page


def test_a_body_is_judged_at_once() -> None:
    """No body takes long, whatever it begins with."""
    start = time.perf_counter()
    for piece in (b"<!--", b"<!-- -->", b"<?", b"<? ?>", b" ", b"<", b"<!-- - -->\n"):
        is_page(piece * 1_000_000, "text/html", markup=True)
    assert time.perf_counter() - start < 1.0
