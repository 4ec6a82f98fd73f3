"""Text and links of feeds, made fit to publish. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import quote, unquote_plus, urlsplit

_ROUNDS = 3
"""Times that entities are resolved: feeds escape twice (`&amp;#39;`), and a third time is somebody's mistake. What is
escaped more often than that stays as it is, entities and all."""
_MAX_RAW = 4000
"""Characters of a raw text that are looked at, markup and all: what is longer is no title, and is cut anyway."""
_MAX_LINK = 2048
"""Characters of a link, about what browsers and proxies pass on; a longer one is no link."""

# An unclosed comment or script hides all that follows, as in browsers; so does an unclosed quote within a tag. That
# also keeps the work proportional to the text.
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r'<[/!?]?[A-Za-z](?:[^<>"]|"[^"]*+(?:"|\Z))*+(?:>|\Z)')
_INLINE = re.compile(r"</?(?:a|abbr|b|code|em|i|mark|s|small|span|strong|sub|sup|u)\b", re.IGNORECASE)
_KEPT_FORMAT = "\u200c\u200d"  # joiners: without them some scripts are misspelt and some emoji fall apart

_TRACKING = frozenset(
    ("fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "twclid", "yclid", "igshid", "mc_cid", "mc_eid")
)
_TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_", "_hs")  # of Urchin and Google, Matomo, HubSpot
_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r'[\s\\<>"{}|^`\x00-\x20\x7f]')


def plain(text: str, most: int) -> str:
    """`text` without HTML, entities, control and direction characters, white space folded; cut at `most` characters.

    A tag that stands between words separates them. Where it was cut, it ends with `…`.
    """
    text = text[:_MAX_RAW]
    for _ in range(_ROUNDS):
        before = text
        text = _TAG.sub(_gap, _HIDDEN.sub(" ", html.unescape(text)))
        if text == before:
            break
    folded = " ".join(text.split())
    # Format characters turn the reading direction or hide within words; nobody needs unassigned or private ones.
    kept = "".join(char for char in folded if char in _KEPT_FORMAT or unicodedata.category(char)[0] != "C")
    kept = " ".join(kept.split())
    return kept if len(kept) <= most else kept[: most - 1].rstrip() + "…"


def canonical_link(link: str) -> str | None:
    """The one spelling of an http(s) link by which articles are told apart; None for whatever else it is.

    Scheme and host in lower case (international names in their ASCII form), no default port, fragment, tracking
    parameter or slash at the end, everything but ASCII percent-encoded. A link with a user name in it is not one: such
    links pretend to lead to another host than they do.
    """
    link = link.strip()
    if len(link) > _MAX_LINK or _FORBIDDEN.search(link):
        return None
    try:
        parts = urlsplit(link)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
        port = parts.port
    except ValueError:  # UnicodeError of the host's name is one too
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
    """What canonical links to one article have in common: scheme and a leading `www.` don't tell them apart."""
    return link.partition("://")[2].removeprefix("www.")


def title_key(title: str) -> str:
    """What equal titles have in common: their letters and digits, whatever case, punctuation and spaces."""
    folded = unicodedata.normalize("NFKC", title).casefold().replace("'", "").replace("’", "")
    return " ".join("".join(char if char.isalnum() else " " for char in folded).split())


def _is_tracking(piece: str) -> bool:
    key = unquote_plus(piece.partition("=")[0]).lower()
    return key in _TRACKING or key.startswith(_TRACKING_PREFIXES)


def _gap(tag: re.Match[str]) -> str:
    return "" if _INLINE.match(tag[0]) else " "
