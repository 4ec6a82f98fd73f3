"""Which offers of permessage-deflate are accepted, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from gateway.transport.extensions import agree

ALWAYS = "permessage-deflate; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer", "bits", "takeover"),
    [
        ("permessage-deflate", ALWAYS, 15, True),
        ("permessage-deflate; client_max_window_bits", ALWAYS, 15, True),  # Chromium, Node
        ("permessage-deflate; client_max_window_bits=9", ALWAYS, 15, True),
        ("permessage-deflate; client_max_window_bits=8; client_no_context_takeover", ALWAYS, 15, True),
        (" \tpermessage-deflate\t;client_no_context_takeover ", ALWAYS, 15, True),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            15,
            False,
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; client_no_context_takeover",
            9,
            True,
        ),
        (
            'permessage-deflate; server_max_window_bits = "1\\5"',
            "permessage-deflate; server_max_window_bits=15; client_no_context_takeover",
            15,
            True,
        ),
        (
            "permessage-deflate; server_max_window_bits=12; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=12; server_no_context_takeover; client_no_context_takeover",
            12,
            False,
        ),
    ],
)
def test_an_offer_is_answered_with_what_was_agreed(offer: str, answer: str, bits: int, takeover: bool) -> None:
    """The window and memory that the client asked for; it is always to compress each message by itself."""
    assert agree([offer]) == (bits, takeover, answer)


DECLINED = [
    "",
    ",,",
    "permessage-deflate2",
    "x-webkit-deflate-frame",
    "permessage-deflate; unknown",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=010",
    "permessage-deflate; server_max_window_bits=+9",
    "permessage-deflate; server_max_window_bits=٩",
    'permessage-deflate; server_max_window_bits=""',
    "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover=1",
    'permessage-deflate; client_no_context_takeover=""',
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=",
    "permessage-deflate;",
    "permessage-deflate; ; client_max_window_bits",
    "permessage-deflate client_max_window_bits",
    "permessage-deflate; client_max_window_bits; \x00",
    'permessage-deflate "',
    'permessage-deflate; client_max_window_bits="',
    'permessage-deflate; client_max_window_bits="15\\',
]


@pytest.mark.parametrize("offer", DECLINED)
def test_an_odd_offer_is_declined(offer: str) -> None:
    """Unknown, repeated, malformed and impossible parameters; also a window of 8 bits, which zlib does not make."""
    assert agree([offer]) is None


@pytest.mark.parametrize("odd", [each for each in DECLINED if each.count('"') % 2 == 0])
def test_the_first_acceptable_offer_is_taken(odd: str) -> None:
    """What is declined does not spoil those that follow, in the same line or in another."""
    offers = [
        'x; y="a, permessage-deflate"',
        odd,
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate",
    ]
    for lines in (offers, [", ".join(offers)]):
        agreed = agree(lines)
        assert agreed is not None
        assert agreed.bits == 10


def test_a_string_that_does_not_end_spoils_its_own_line() -> None:
    """The next line is another list."""
    assert agree(['x; y=", permessage-deflate']) is None
    assert agree(['x; y="', "permessage-deflate"]) is not None


@given(st.lists(st.text(st.sampled_from('permssag-dflt;=,"\\ \t9158_x'), max_size=40) | st.sampled_from(DECLINED)))
def test_no_offer_is_an_error(lines: list[str]) -> None:
    """Whatever a client sends is accepted or declined."""
    agree(lines)


def test_a_hostile_offer_takes_no_time() -> None:
    """As much as a line of a handshake may have is read once, whatever is in it."""
    for part in ('"', '"\\', "permessage-deflate;a=", ',"', "; ", "permessage-deflate," * 400):
        assert agree([(part * 8192)[:8192] + "!", part]) is None or part.startswith("permessage-deflate,")


windows = st.none() | st.integers(9, 15)


@given(st.booleans(), st.booleans(), windows, windows | st.just(True))
def test_the_client_of_websockets_accepts_every_answer(
    server_takeover: bool, client_takeover: bool, server_bits: int | None, client_bits: int | bool | None
) -> None:
    """Its own rules for answers, which fail the connection, allow ours to each of its offers; both agree on it."""
    factory = ClientPerMessageDeflateFactory(server_takeover, client_takeover, server_bits, client_bits)  # type: ignore[arg-type]
    agreed = agree([build_extension([(factory.name, list(factory.get_request_params()))])])
    assert agreed is not None
    ((_, answer),) = parse_extension(agreed.answer)
    client = factory.process_response_params(answer, [])
    assert client.local_no_context_takeover
    assert (client.remote_max_window_bits, client.remote_no_context_takeover) == (agreed.bits, not agreed.takeover)
