"""The repository's documentation at `/docs/…`: every document, with links that lead somewhere on this gateway."""

from __future__ import annotations

import posixpath
from urllib.parse import urljoin, urlsplit

import pytest

from gateway.docs import guides, html
from tests.gateway.serving import Gateway, Page
from tests.places import ROOT

DOCS = ROOT / "docs"
PATHS = sorted(file.relative_to(DOCS).as_posix() for file in DOCS.glob("**/*.md"))


async def test_the_docs_page_links_to_every_how_to(gateway: Gateway) -> None:
    """`/docs` lists the how-tos and references by their titles, and the index of all documents."""
    links = Page((await gateway.http.get("/docs")).text).links
    expected = [path for path in PATHS if path.startswith(("how-to/", "reference/"))]
    assert [link for link in links if link.endswith(".md")] == [f"docs/{path}" for path in (*expected, "README.md")]


async def test_every_document_is_a_page(gateway: Gateway) -> None:
    """It has its title, one main heading, nothing inline, the policy of `/docs`, and loads what this gateway has."""
    for path in PATHS:
        answer = await gateway.http.get(f"/docs/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith("text/html")
        assert all(answer.headers[name] == value for name, value in html.SECURITY.items())
        shown = Page(answer.text)
        assert guides.guides()[path].title in shown.text
        assert [shown.tags.count(tag) for tag in ("title", "h1", "main", "nav")] == [1, 1, 1, 1], path
        assert shown.inline == []
        for address in (each for each in shown.loads if not each.startswith("data:")):
            assert not urlsplit(address).netloc
            assert (await gateway.http.get(urljoin(f"/docs/{path}", address))).status_code == 200, address


async def test_links_between_documents_lead_to_their_pages(gateway: Gateway) -> None:
    """Each relative link of a document names a page of this gateway, and a heading of it where it names one."""
    pages = {f"/docs/{path}": Page((await gateway.http.get(f"/docs/{path}")).text) for path in PATHS}
    pages["/docs"] = Page((await gateway.http.get("/docs")).text)
    followed = 0
    for place, shown in pages.items():
        for link in shown.links:
            parts = urlsplit(urljoin(place, link))
            if parts.netloc or not parts.path.startswith("/docs"):
                continue
            assert parts.path in pages, f"{link} of {place}"
            assert parts.fragment in {"", *pages[parts.path].ids}, f"{link} of {place}"
            followed += 1
    assert followed > len(PATHS)


def test_a_link_out_of_the_documentation_is_text() -> None:
    """A link to a file outside of docs/ (the README, `.env.example`) becomes plain text."""
    shown = Page(guides.html("how-to/operate.md"))
    assert ".env.example" in shown.text
    outside = [link for link in shown.links if posixpath.normpath(f"how-to/{link}").startswith("..")]
    assert outside == []


async def test_nothing_but_documents_is_served(gateway: Gateway) -> None:
    """An unknown document is a 404, and no file beside `docs/` can be fetched."""
    for path in (
        "how-to/none.md",
        "none.md",
        "how-to",
        "..%2FREADME.md",
        "%2e%2e/README.md",
        "adr/..%2F..%2FREADME.md",
    ):
        answer = await gateway.http.get(f"/docs/{path}")
        assert answer.status_code == 404, path
        assert answer.json()["status"] == "error"


@pytest.mark.parametrize(
    ("heading", "anchor"), [("Tools", "tools"), ("What `since` does", "what-since-does"), ("A, b & c", "a-b--c")]
)
def test_headings_have_the_anchors_that_links_name(heading: str, anchor: str) -> None:
    """Lower case, hyphens for spaces, punctuation left out: as forges of repositories make them."""
    assert guides.slug(heading) == anchor
