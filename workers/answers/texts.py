"""Cleans text and links of feeds before they are published. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import quote, unquote_plus, urlsplit

_ROUNDS = 3
"""How often entities are decoded: some feeds escape twice (`&amp;#39;`), a few by mistake three times. Text that is
escaped more often keeps its entities.
"""
_MAX_RAW = 4000
"""Characters of a raw text that are read, markup included. A longer text is no title, and is cut in any case."""
_MAX_LINK = 2048
"""Characters of a link, about the limit of browsers and proxies; a longer link is rejected."""

# As in browsers, an unclosed comment, script or quote within a tag hides everything after it. This also keeps the
# running time linear in the length of the text.
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r'<[/!?]?[A-Za-z](?:[^<>"]|"[^"]*+(?:"|\Z))*+(?:>|\Z)')
_INLINE = re.compile(r"</?(?:a|abbr|b|code|em|i|mark|s|small|span|strong|sub|sup|u)\b", re.IGNORECASE)
_C1 = {code: char for code in range(0x80, 0xA0) if (char := bytes((code,)).decode("cp1252", "ignore"))}
"""Control characters that are quotes and dashes of Windows 1252, written as they are or as `&#146;`. Browsers read the
latter so: https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state
"""
_KEPT_FORMAT = "\u200c\u200d"  # joiners: some scripts need them for spelling, some emoji are joined by them

_TRACKING = frozenset(
    ("fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "twclid", "yclid", "igshid", "mc_cid", "mc_eid")
)
_TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_", "_hs")  # tracking parameters of Urchin and Google, Matomo, HubSpot
_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r'[\s\\<>"{}|^`\x00-\x20\x7f]')


def plain(text: str, most: int) -> str:
    """`text` without HTML, control and direction characters; entities decoded, runs of white space made one space.

    At most `most` characters; a text that was cut ends with `…`. A tag between two words counts as a space.
    """
    text = text[:_MAX_RAW]
    for _ in range(_ROUNDS):
        before = text
        text = _TAG.sub(_gap, _HIDDEN.sub(" ", html.unescape(text)))
        if text == before:
            break
    folded = " ".join(text.translate(_C1).split())
    # Format characters can reverse the reading direction or hide within words. Unassigned and private ones have no
    # meaning.
    kept = "".join(char for char in folded if char in _KEPT_FORMAT or unicodedata.category(char)[0] != "C")
    kept = " ".join(kept.split())
    return kept if len(kept) <= most else kept[: most - 1].rstrip() + "…"


def canonical_link(link: str) -> str | None:
    """The canonical form of an http(s) link, to recognise the same article; None if `link` is not one.

    Scheme and host are in lower case, international names in their ASCII form. Default port, fragment, tracking
    parameters and a slash at the end are removed. Non-ASCII characters are percent-encoded. A link with a user name is
    rejected, as it may disguise its host.
    """
    link = link.strip()
    if len(link) > _MAX_LINK or _FORBIDDEN.search(link):
        return None
    try:
        parts = urlsplit(link)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
        port = parts.port
    except ValueError:  # includes UnicodeError, which a host name that can't be encoded raises
        return None
    if parts.scheme not in _PORTS or "." not in host or ":" in host or "@" in parts.netloc:
        return None
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._[]").rstrip("/")
    pieces = [piece for piece in parts.query.split("&") if piece and not _is_tracking(piece)]
    query = quote("&".join(pieces), safe="/%:@!$&'()*+,;=~-._[]?")
    canonical = f"{parts.scheme}://{place}{path}" + (f"?{query}" if query else "")
    return canonical if len(canonical) <= _MAX_LINK else None


def link_key(link: str) -> str:
    """A key that is equal for canonical links to one article: the link without scheme and leading `www.`."""
    return link.partition("://")[2].removeprefix("www.")


def title_key(title: str) -> str:
    """A key that is equal for equal titles: letters and digits only; case, punctuation and spaces are ignored."""
    folded = unicodedata.normalize("NFKC", title).casefold().replace("'", "").replace("’", "")
    return " ".join("".join(char if char.isalnum() else " " for char in folded).split())


def _is_tracking(piece: str) -> bool:
    key = unquote_plus(piece.partition("=")[0]).lower()
    return key in _TRACKING or key.startswith(_TRACKING_PREFIXES)


def _gap(tag: re.Match[str]) -> str:
    return "" if _INLINE.match(tag[0]) else " "
