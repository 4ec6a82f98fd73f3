"""Keccak-256, the hash of Ethereum: of event signatures, of addresses' checksums, and of what a block's bloom holds.

It is SHA-3 before its standard changed the padding, so hashlib does not have it: https://keccak.team/keccak_specs_summary.html
A hash takes a quarter of a millisecond, which is enough for the few dozen items that a process asks blooms for.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_RATE = 136
"""Bytes per block for 256 bits of hash."""
_KECCAK, _SHA3 = 0x01, 0x06
"""The first byte of the padding."""


def _constants() -> tuple[int, ...]:
    """The constant of each of the 24 rounds: bits of a linear feedback shift register."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for bit in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) % 256
            if register & 2:
                constant ^= 1 << ((1 << bit) - 1)
        constants.append(constant)
    return tuple(constants)


def _moves() -> tuple[tuple[int, int, int], ...]:
    """Where a round moves each lane from and to, and by how many bits it turns it; lane (x, y) is number x + 5 y."""
    moves, (x, y) = [(0, 0, 0)], (1, 0)
    for step in range(24):
        to = y, (2 * x + 3 * y) % 5
        moves.append((x + 5 * y, to[0] + 5 * to[1], (step + 1) * (step + 2) // 2 % 64))
        x, y = to
    return tuple(moves)


_CONSTANTS, _MOVES = _constants(), _moves()
_ROWS = tuple((5 * y + x, 5 * y + (x + 1) % 5, 5 * y + (x + 2) % 5) for y in range(5) for x in range(5))


def keccak256(message: bytes) -> bytes:
    """The 32 bytes of the hash of `message`."""
    return sponge(message, _KECCAK)


def sponge(message: bytes, padding: int = _SHA3) -> bytes:
    """The hash with this first byte of padding: SHA3-256 unless told otherwise, to compare it with hashlib's."""
    padded = bytearray(message)
    padded.append(padding)
    padded += bytes(-len(padded) % _RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE):
        for index in range(_RATE // 8):
            lanes[index] ^= int.from_bytes(padded[start + index * 8 : start + index * 8 + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]."""
    moved = [0] * 25
    for constant in _CONSTANTS:
        sums = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [sums[x - 1] ^ (sums[(x + 1) % 5] << 1 | sums[(x + 1) % 5] >> 63) & _MASK for x in range(5)]
        for source, target, bits in _MOVES:
            lane = lanes[source] ^ mixed[source % 5]
            moved[target] = (lane << bits | lane >> (64 - bits)) & _MASK
        lanes = [moved[a] ^ ~moved[b] & moved[c] for a, b, c in _ROWS]
        lanes[0] ^= constant
    return lanes
