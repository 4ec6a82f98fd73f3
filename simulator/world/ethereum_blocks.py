"""Contents of simulated Ethereum blocks: transactions of all types, their receipts, and Transfer logs.

About every other block moves more than a million dollars in ether, and about as many do so in a token. Some of these
transactions fail: they are in their block and move nothing. Some addresses are those of exchanges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from simulator.world import contracts
from simulator.world.blooms import bloom_of

EXCHANGES = (
    "0x28c6c06298d514db089934071355e5743bf21d60",  # Binance 14
    "0x21a31ee1afc51d94c2efccaa2092ad1028285549",  # Binance 15
    "0xdfd5293d8e347dfe59e90efd55b2956a1343963d",  # Binance 16
    "0xf977814e90da44bfa03b6295a0616a897441acec",  # Binance 8
    "0xa9d1e08c7793af67e9d92fe308d5697fb81d3e43",  # Coinbase 10
    "0x71660c4005ba85c37ccec55d0c4493e66fe775d3",  # Coinbase 1
    "0x267be1c1d684f78cb4f6a176c4911b741e4ffdc0",  # Kraken 4
    "0x2910543af39aba0cd09dbb2d50200b3e800a63d2",  # Kraken
    "0x6cc5f688a315f3dc28a7781717a9a798a59fda7b",  # OKX
)
"""Known addresses of exchanges (labelled by Etherscan), lower case."""

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of Transfer(address,address,uint256), of ERC-20 and of ERC-721 alike."""


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20 contract on mainnet."""

    contract: str
    coin: str
    """Id of its price."""
    decimals: int


TOKENS = (
    Token("0xdac17f958d2ee523a2206206994597c13d831ec7", "tether", 6),
    Token("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "usd-coin", 6),
    Token("0x6b175474e89094c44da98b954eedeac495271d0f", "dai", 18),
    Token("0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "wrapped-bitcoin", 8),
    Token("0xdc035d45d973e3ec169d2276ddab16f1e407384f", "usds", 18),
    Token("0xcbb7c0000ab88b473b1f5afd9ef808440eed33bf", "coinbase-wrapped-btc", 8),
    Token("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "weth", 18),
    Token("0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0", "wrapped-steth", 18),
)
PRICED = ("ethereum", *(token.coin for token in TOKENS))
"""Coins whose prices determine the amounts in a block."""
_COLLECTIBLE = "0xbc4ca0eda7647a8ab7c2061c2e118a18a936f13d"
"""An ERC-721 contract (Bored Ape Yacht Club): its Transfer logs have four topics and no data."""
_WALLETS = 2000
"""Number of addresses in use."""
_GAS = {"send": 21_000, "token": 55_000, "collectible": 85_000, "blob": 21_000, "delegate": 46_000, "create": 900_000}
"""Units of gas by kind; calls share the remaining gas of the block."""


@dataclass(frozen=True, slots=True)
class BlockHead:
    """The block that the contents are made for."""

    seed: int
    number: int
    hash: str
    time: int
    base_fee: int
    tip: int
    gas_used: int
    prices: Mapping[str, float]
    """USD by coin."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Transactions and receipts in block order, in the form of JSON-RPC."""

    transactions: list[dict[str, Any]]
    receipts: list[dict[str, Any]]

    @property
    def bloom(self) -> str:
        """The `logsBloom` of the block."""
        return bloom_of(log for receipt in self.receipts for log in receipt["logs"])


def place_of(transaction: str) -> tuple[int, int]:
    """Block number and index that a simulated transaction's hash names. Any other hash decodes to some place too."""
    mask = int(transaction[2:14], 16)
    place = int(transaction[-12:], 16) ^ mask
    return place >> 12, place & 0xFFF


def wallet(seed: int, index: int) -> str:
    """Address number `index` of this chain's users."""
    return "0x" + hashlib.sha256(f"{seed}/ethereum/wallet/{index}".encode()).hexdigest()[:40]


def fill(place: BlockHead, count: int) -> Contents:
    """The contents of one block; always the same for the same block."""
    return _Filling(place, count).done()


class _Filling:
    def __init__(self, place: BlockHead, count: int) -> None:
        self._place = place
        self._random = Random(f"{place.seed}/ethereum/transactions/{place.number}")
        self._kinds = self._choose(count)
        self._calls = self._shares()
        self._events = contracts.events(place.seed, place.number)
        self._transactions: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        self._gas = 0
        self._logs = 0

    def done(self) -> Contents:
        for kind in self._kinds:
            getattr(self, f"_{kind}")()
        return Contents(self._transactions, self._receipts)

    def _choose(self, count: int) -> list[str]:
        """Kinds of the transactions: rare ones at random, the others ordinary."""
        chance = self._random.random
        rare = [
            *(["whale"] if chance() < 0.4 else []),
            *(["token_whale"] if chance() < 0.4 else []),
            *(["failed_whale"] if chance() < 0.1 else []),
            *(["create"] if chance() < 0.25 else []),
            *(["collectible"] if chance() < 0.5 else []),
            *(["blob"] if chance() < 0.3 else []),
            *(["delegate"] if chance() < 0.4 else []),
        ]
        ordinary = self._random.choices(("send", "token", "call"), (40, 30, 30), k=count - len(rare) - 2)
        kinds = rare + ordinary + ["call", "call"]  # at least two, so that the block's gas can be used up
        self._random.shuffle(kinds)
        return kinds

    def _shares(self) -> list[int]:
        """Gas of each call, so that all calls together use the block's gas."""
        names = {"whale": "send", "failed_whale": "send", "token_whale": "token"}
        fixed = sum(_GAS[names.get(kind, kind)] for kind in self._kinds if kind != "call")
        left = max(self._place.gas_used - fixed, 0)
        weights = [self._random.uniform(0.2, 1.8) for kind in self._kinds if kind == "call"]
        shares = [int(left * weight / sum(weights)) for weight in weights]
        shares[0] += left - sum(shares)
        return shares

    def _send(self) -> None:
        wei = int(10 ** self._random.uniform(14, 19))
        self._add("send", self._one(), self._one(), wei, kind=self._random.choice(("0x0", "0x2", "0x2", "0x2")))

    def _whale(self) -> None:
        sender, to = self._pair()
        self._add("send", sender, to, self._large("ethereum", 18), kind="0x2")

    def _failed_whale(self) -> None:
        sender, to = self._pair()
        self._add("send", sender, to, self._large("ethereum", 18), kind="0x2", failed=True)

    def _token(self) -> None:
        token = self._random.choice(TOKENS)
        usd = 10 ** self._random.uniform(1, 5.5)
        units = max(1, int(usd / self._place.prices[token.coin] * 10**token.decimals))
        self._transfer(token, self._one(), self._one(), units)

    def _token_whale(self) -> None:
        token = self._random.choices(TOKENS, (5, 5, 2, 3, 2, 2, 3, 2))[0]
        self._transfer(token, *self._pair(), self._large(token.coin, token.decimals))

    def _transfer(self, token: Token, sender: str, to: str, units: int) -> None:
        call = f"0xa9059cbb{_word(to)}{units:064x}"  # transfer(address,uint256)
        log = (token.contract, [TRANSFER, "0x" + _word(sender), "0x" + _word(to)], f"0x{units:064x}")
        self._add("token", sender, token.contract, 0, kind="0x2", input_=call, logs=[log])

    def _collectible(self) -> None:
        sender, to, number = self._one(), self._one(), self._random.randrange(10_000)
        call = f"0x23b872dd{_word(sender)}{_word(to)}{number:064x}"  # transferFrom(address,address,uint256)
        topics = [TRANSFER, "0x" + _word(sender), "0x" + _word(to), f"0x{number:064x}"]
        logs = [(_COLLECTIBLE, topics, "0x")]
        self._add("collectible", sender, _COLLECTIBLE, 0, kind="0x2", input_=call, logs=logs)

    def _call(self) -> None:
        data = "0x" + self._random.randbytes(68).hex()
        kind = self._random.choice(("0x0", "0x1", "0x2", "0x2", "0x2", "0x2"))
        sender, to, logs = self._one(), self._one(), self._events.pop(0) if self._events else []
        to = logs[0][0] if logs else to
        self._add("call", sender, to, 0, kind=kind, input_=data, gas=self._calls.pop(), logs=logs)

    def _create(self) -> None:
        code = "0x6080604052" + self._random.randbytes(200).hex()
        self._add("create", self._one(), None, 0, kind="0x2", input_=code)

    def _blob(self) -> None:
        self._add("blob", self._one(), self._one(), 0, kind="0x3")

    def _delegate(self) -> None:
        self._add("delegate", self._one(), self._one(), 0, kind="0x4")

    def _one(self) -> str:
        return wallet(self._place.seed, self._random.randrange(_WALLETS))

    def _pair(self) -> tuple[str, str]:
        """Sender and receiver of a large amount: to, from or between exchanges, or without one."""
        kind = self._random.choice(("deposit", "withdrawal", "between", "private", "private"))
        first, second = self._random.sample(EXCHANGES, 2)
        sender = first if kind in ("withdrawal", "between") else self._one()
        return sender, second if kind in ("deposit", "between") else self._one()

    def _large(self, coin: str, decimals: int) -> int:
        """An amount worth 1.1 to 60 million USD, in the smallest unit."""
        usd = 1.1e6 * (60 / 1.1) ** (self._random.random() ** 2)
        return int(usd / self._place.prices[coin] * 10**decimals)

    def _add(
        self,
        what: str,
        sender: str,
        to: str | None,
        wei: int,
        *,
        kind: str,
        input_: str = "0x",
        gas: int | None = None,
        failed: bool = False,
        logs: list[tuple[str, list[str], str]] | None = None,
    ) -> None:
        place, index = self._place, len(self._transactions)
        used = _GAS[what] if gas is None else gas
        self._gas += used
        tip = round(place.tip * self._random.uniform(0.2, 2))
        name = hashlib.sha256(f"{place.seed}/ethereum/transaction/{place.number}/{index}".encode()).hexdigest()[:52]
        tx_hash = f"0x{name}{int(name[:12], 16) ^ (place.number << 12 | index):012x}"
        where = {"blockHash": place.hash, "blockNumber": hex(place.number)}
        self._transactions.append(
            {
                **where,
                "blockTimestamp": hex(place.time),
                "from": sender,
                "gas": hex(used + used // 5),
                "gasPrice": hex(place.base_fee + tip),
                **_of_type(kind, place.base_fee, tip, name, to),
                "hash": tx_hash,
                "input": input_,
                "nonce": hex(self._random.randrange(50_000)),
                "to": to,
                "transactionIndex": hex(index),
                "value": hex(wei),
                "type": kind,
                "v": "0x1b" if kind == "0x0" else "0x0",
                "r": f"0x{name}",
                "s": f"0x{name[::-1]}",
            }
        )
        place_of_log = {**where, "blockTimestamp": hex(place.time), "transactionHash": tx_hash}
        entries = [
            {
                "address": contract,
                "topics": topics,
                "data": data,
                **place_of_log,
                "transactionIndex": hex(index),
                "logIndex": hex(self._logs + offset),
                "removed": False,
            }
            for offset, (contract, topics, data) in enumerate(logs or [])
        ]
        self._logs += len(entries)
        self._receipts.append(
            {
                **where,
                "contractAddress": f"0x{name[:40]}" if to is None else None,
                "cumulativeGasUsed": hex(self._gas),
                "effectiveGasPrice": hex(place.base_fee + tip),
                "from": sender,
                "gasUsed": hex(used),
                "logs": entries,
                "logsBloom": bloom_of(entries),
                "status": "0x0" if failed else "0x1",
                "to": to,
                "transactionHash": tx_hash,
                "transactionIndex": hex(index),
                "type": kind,
            }
        )


def _of_type(kind: str, base_fee: int, tip: int, name: str, to: str | None) -> dict[str, Any]:
    """The additional fields of a transaction of this type."""
    if kind == "0x0":
        return {"chainId": "0x1"}
    fields: dict[str, Any] = {"accessList": [], "chainId": "0x1", "yParity": "0x0"}
    if kind != "0x1":
        fields |= {"maxFeePerGas": hex(2 * base_fee + tip), "maxPriorityFeePerGas": hex(tip)}
    if kind == "0x3":
        fields |= {"blobVersionedHashes": [f"0x01{name}0000000000"], "maxFeePerBlobGas": "0x3b9aca00"}
    if kind == "0x4":
        signature = {"yParity": "0x0", "r": f"0x{name}", "s": f"0x{name[::-1]}"}
        fields |= {"authorizationList": [{"chainId": "0x1", "address": to, "nonce": "0x1", **signature}]}
    return fields


def _word(address: str) -> str:
    """An address as 32 bytes of hex, without 0x."""
    return address[2:].rjust(64, "0")
