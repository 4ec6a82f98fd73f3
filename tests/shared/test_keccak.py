"""Keccak-256 against published hashes, and its permutation against hashlib's SHA-3."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.keccak import keccak256, sponge


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"Transfer(address,address,uint256)", "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
        (b"\x80", "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
    ],
)
def test_known_hashes(message: bytes, expected: str) -> None:
    """Nothing, a word, a well-known topic, and the root of an empty trie."""
    assert keccak256(message).hex() == expected


@given(st.binary(max_size=600))
def test_the_permutation_is_that_of_sha3(message: bytes) -> None:
    """With SHA-3's padding any message, of one block or several, has hashlib's hash."""
    assert sponge(message) == hashlib.sha3_256(message).digest()
