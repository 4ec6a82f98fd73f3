"""Bitcoin addresses with valid checksums and without an owner: made from a hash, not from a key."""

from __future__ import annotations

import hashlib
from functools import reduce
from operator import xor

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
# For each number of five bits, the sum of the generators that its bits choose.
_SUMS = tuple(reduce(xor, (each for i, each in enumerate(_GENERATOR) if bits >> i & 1), 0) for bits in range(32))


def legacy(digest: bytes, version: int = 0) -> str:
    """The base58 address of a 20-byte hash: `1…` (version 0), `3…` (version 5)."""
    payload = bytes([version]) + digest
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def segwit(digest: bytes) -> str:
    """The bech32 address `bc1q…` of a 20- or 32-byte hash (BIP 173)."""
    number, bits = int.from_bytes(digest, "big"), len(digest) * 8
    pad = -bits % 5
    number <<= pad
    values = [0] + [number >> shift & 31 for shift in range(bits + pad - 5, -1, -5)]
    check = _polymod([3, 3, 0, 2, 3, *values, 0, 0, 0, 0, 0, 0]) ^ 1  # 3 3 0 2 3 is "bc", expanded according to BIP 173
    values += [check >> shift & 31 for shift in range(25, -1, -5)]
    return "bc1" + "".join(_BECH32[value] for value in values)


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        check = (check & 0x1FFFFFF) << 5 ^ value ^ _SUMS[check >> 25]
    return check
