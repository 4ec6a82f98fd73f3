"""The repository's documentation below `/docs`: docs/how-to/operate.md is at `/docs/how-to/operate.md`.

Addresses equal the files' paths, so that links between documents work unchanged. The repository has no public address,
and a gateway often runs without access to other hosts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = Path(__file__).parents[2] / "docs"
"""Beside the packages, in a checkout and in the image. A wheel has no documents: `/docs` then names their folder."""

INDEX = "README.md"
_LISTED = ("how-to", "reference")  # listed on every page; the index links to the others


class Guide(NamedTuple):
    """One document."""

    path: str
    """Path below `docs/`."""
    title: str
    kind: str
    """Its folder; empty for documents directly in `docs/`."""


@cache
def guides() -> dict[str, Guide]:
    """Every document, by path."""
    found = {}
    for file in sorted(FOLDER.glob("**/*.md")):
        path = file.relative_to(FOLDER).as_posix()
        title = file.read_text().partition("\n")[0].removeprefix("# ").replace("`", "")
        found[path] = Guide(path, title, posixpath.dirname(path))
    return found


def listed() -> list[Guide]:
    """How-tos, references and the index, in the order in which pages list them."""
    known = guides()
    return [guide for kind in _LISTED for guide in known.values() if guide.kind == kind] + [
        known[path] for path in (INDEX,) if path in known
    ]


@cache
def html(path: str) -> str:
    """A document as HTML. Raises KeyError for a path that `guides()` does not have."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((FOLDER / guides()[path].path).read_text())
    _name_headings(tokens)
    for token in tokens:
        if token.children is not None:
            token.children = list(_links_within(token.children, posixpath.dirname(path)))
    return str(markdown.renderer.render(list(_scrolling(tokens)), markdown.options, {}))


def slug(heading: str) -> str:
    """The anchor of a heading, in the form that repository hosts use."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _name_headings(tokens: Sequence[Token]) -> None:
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            parts = content.children or ()
            opening.attrSet("id", slug("".join(part.content for part in parts)))


def _links_within(tokens: Sequence[Token], folder: str) -> Iterator[Token]:
    """`tokens` without links to files that are not documents: those are only in the repository."""
    keep = True
    for token in tokens:
        if token.type == "link_open":
            keep = _served(str(token.attrGet("href")), folder)
        if keep or token.type not in {"link_open", "link_close"}:
            yield token


def _served(href: str, folder: str) -> bool:
    target = href.partition("#")[0]
    return "://" in href or not target or posixpath.normpath(posixpath.join(folder, target)) in guides()


def _scrolling(tokens: Sequence[Token]) -> Iterator[Token]:
    """Tables in a scrolling container, for narrow screens."""
    for token in tokens:
        if token.type == "table_open":
            yield Token(
                "html_block", "", 0, content='<div class="scroll" tabindex="0" role="region" aria-label="Table">'
            )
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")
