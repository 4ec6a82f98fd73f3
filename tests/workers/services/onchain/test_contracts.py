"""The table of contract events: each topic is the hash of its signature."""

from __future__ import annotations

import pytest

from workers.services.onchain.contracts import NAMES, WATCHED, Watched

_MASK = (1 << 64) - 1
_RATE = 136  # bytes of Keccak-256


def _turned(lane: int, bits: int) -> int:
    return (lane << bits % 64 | lane >> (64 - bits % 64)) & _MASK


def _permuted(lanes: list[list[int]]) -> list[list[int]]:
    """Keccak-f[1600]."""
    register = 1
    for _ in range(24):
        sums = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        lanes = [[lanes[x][y] ^ sums[x - 1] ^ _turned(sums[(x + 1) % 5], 1) for y in range(5)] for x in range(5)]
        (x, y), current = (1, 0), lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], _turned(current, (step + 1) * (step + 2) // 2)
        lanes = [[lanes[x][y] ^ ~lanes[(x + 1) % 5][y] & lanes[(x + 2) % 5][y] for y in range(5)] for x in range(5)]
        for bit in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) % 256
            if register & 2:
                lanes[0][0] ^= 1 << ((1 << bit) - 1)
    return lanes


def keccak256(message: bytes) -> str:
    """The hash that Ethereum uses, in hex: Keccak before it became SHA-3, which pads differently."""
    padded = bytearray(message + b"\x01" + bytes(-(len(message) + 1) % _RATE))
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), _RATE):
        for index in range(_RATE // 8):
            word = padded[start + index * 8 : start + index * 8 + 8]
            lanes[index % 5][index // 5] ^= int.from_bytes(word, "little")
        lanes = _permuted(lanes)
    return "0x" + b"".join(lanes[x][0].to_bytes(8, "little") for x in range(4)).hex()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (
            "Transfer(address,address,uint256)",
            "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
    ],
)
def test_the_hash_of_these_tests(message: str, expected: str) -> None:
    """Two well-known hashes."""
    assert keccak256(message.encode()) == expected


@pytest.mark.parametrize("watched", WATCHED, ids=lambda watched: f"{watched.contract[:8]} {watched.event}")
def test_a_topic_is_the_hash_of_its_signature(watched: Watched) -> None:
    """What nodes are asked for is what contracts log."""
    assert watched.topic == keccak256(watched.signature.encode())


def test_no_event_is_there_twice() -> None:
    """A contract and a topic name one event."""
    assert len(NAMES) == len(WATCHED)
