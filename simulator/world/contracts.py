"""Rare events of well-known contracts in simulated Ethereum blocks: in about every third one.

They are logs of calls that the block has anyway, so blocks hold the same transactions with and without them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

_TETHER = "0xdac17f958d2ee523a2206206994597c13d831ec7"
_USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
_WBTC = "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
_UNISWAP_V3_FACTORY = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
_AAVE_V3_POOL = "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2"
_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_NOBODY = "0x" + "0" * 40
"""The zero address: the sender of minted tokens and the receiver of burnt ones."""
_CHANCE = 0.35
"""Probability of an event per block, so that the demo shows one now and then."""

Log = tuple[str, list[str], str]
"""Contract, topics, data."""


@dataclass(frozen=True, slots=True)
class _Event:
    """The form of an event's log: indexed values are topics, the others are data."""

    contract: str
    topic: str
    indexed: str
    """A letter for each: `a` an address, `n` a number."""
    data: str
    weight: float
    """How often it happens, compared with the others."""
    transfer: str = ""
    """`mint` or `burn` if an ERC-20 Transfer from or to the zero address comes with it."""


EVENTS = (
    _Event(_TETHER, "0xcb8241adb0c3fdb35b70c24ce35c5eb0c17af7431c99f827d44a445ca624176a", "", "n", 1),  # Issue
    _Event(_TETHER, "0x702d5967f45f6513a38ffc42d6ba9bf230bd40e8f53b16363c7eb4fd2deb9a44", "", "n", 1),  # Redeem
    _Event(_TETHER, "0x42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc", "", "a", 1),  # AddedBlackList
    _Event(_TETHER, "0xd7e9ec6e6ecd65492dce6bf513cd6867560d49544421d0783ddf06e76c24470c", "", "a", 1),  # Removed...
    _Event(_TETHER, "0x61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6", "", "an", 1),  # Destroyed...
    _Event(_USDC, "0xab8530f87dc9b59234c4623bf917212bb2536d647574c8e7e5da92c2ede0c9f8", "aa", "n", 8, "mint"),
    _Event(_USDC, "0xcc16f5dbb4873280815c1ee09dbd06736cffcc184412cf7a71a0fdb75d397ca5", "a", "n", 8, "burn"),
    _Event(_USDC, "0xffa4e6181777692565cf28528fc88fd1516ea86b56da075235fa575af6a4b855", "a", "", 1),  # Blacklisted
    _Event(_USDC, "0x117e3210bb9aa7d9baff172026820255c6f6c30ba8999d1c2fd88e2848137c4e", "a", "", 1),  # UnBlacklisted
    _Event(_WBTC, "0x0f6798a560793a54c3bcfe86a93cde1e73087d944c0ea20544137d4121396885", "a", "n", 2, "mint"),
    _Event(_WBTC, "0xcc16f5dbb4873280815c1ee09dbd06736cffcc184412cf7a71a0fdb75d397ca5", "a", "n", 2, "burn"),
    _Event(
        _UNISWAP_V3_FACTORY, "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118", "aan", "na", 6
    ),  # PoolCreated
    _Event(
        _AAVE_V3_POOL, "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286", "aaa", "nnan", 4
    ),  # LiquidationCall
)
"""The contracts and topics that the onchain service asks for; the simulator does not import it."""
_UNITS = {_TETHER: (10**9, 10**11), _USDC: (10**9, 10**11), _WBTC: (10**6, 10**8)}
"""Smallest and largest amount, in the token's smallest units: below the threshold of a whale."""


def events(seed: int, number: int) -> list[list[Log]]:
    """The logs of each event of block `number`, in their order."""
    random = Random(f"{seed}/ethereum/contracts/{number}")
    if random.random() >= _CHANCE:
        return []
    count = 2 if random.random() < 0.2 else 1
    return [_logs(seed, random, event) for event in random.choices(EVENTS, [e.weight for e in EVENTS], k=count)]


def _logs(seed: int, random: Random, event: _Event) -> list[Log]:
    low, high = _UNITS.get(event.contract, (1, 10**12))
    amount = f"{random.randint(low, high):064x}"
    addresses = [_address(seed, random.randrange(2000)) for _ in event.indexed + event.data]

    def words(letters: str, first: int) -> list[str]:
        return [
            addresses[first + position][2:].rjust(64, "0") if letter == "a" else amount
            for position, letter in enumerate(letters)
        ]

    topics = [event.topic, *("0x" + word for word in words(event.indexed, 0))]
    logs: list[Log] = [(event.contract, topics, "0x" + "".join(words(event.data, len(event.indexed))))]
    if event.transfer:
        holder = addresses[len(event.indexed) - 1]
        pair = (_NOBODY, holder) if event.transfer == "mint" else (holder, _NOBODY)
        moved = [_TRANSFER, *("0x" + address[2:].rjust(64, "0") for address in pair)]
        logs.append((event.contract, moved, "0x" + amount))
    return logs


def _address(seed: int, index: int) -> str:
    return "0x" + hashlib.sha256(f"{seed}/ethereum/contracts/{index}".encode()).hexdigest()[:40]
