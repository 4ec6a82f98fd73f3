"""The one Bitcoin chain behind all hosts: blocks, waiting transactions and statistics as a function of (seed, time).

Each slot of ten minutes has one block at a random time in it, so blocks are between seconds and 20 min apart, and 10
min on average. A block has about a hundred transactions instead of the real 3,000: enough for a handful of large ones,
and cheap to make. They arrive while the previous block is the newest, and are all in their block: an unconfirmed
transaction is confirmed later, under the same id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from simulator.world.addresses import legacy, segwit
from simulator.world.market import DAY, Market

SLOT = 600
"""Average seconds between two blocks."""
_FIRST_SLOT = 2_984_782 - 969_462
"""Slot of block 0: the slot of the recorded block 969462, minus its height."""
_RECORDED_DIFFICULTY = 1.32757073449487e14
"""Of 2026-10, as recorded."""
_RETARGET = 2016
"""Blocks after which the difficulty changes."""
REWARD = 312_500_000
"""Sats that a block creates, from height 840000 to 1050000."""
_FEWEST, _MOST = 60, 120
"""Transactions per block."""
EXCHANGES = (
    "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo",  # Binance
    "bc1qm34lsc65zpw79lxes69zkqmk6ee3ewf0j77s3h",  # Binance
    "1NDyJtNTjmwk5xPNhjgAMu4HDHigtobu1s",  # Binance
    "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97",  # Bitfinex
)
"""Known addresses of exchanges, from public lists; large transfers go to and from them."""


@dataclass(frozen=True, slots=True)
class Output:
    """An amount at an address; `address` is None for data (op_return)."""

    address: str | None
    sats: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of a block, waiting since `arrived` until the block's time."""

    txid: str
    inputs: tuple[Output, ...]
    """The outputs it spends; none for a coinbase."""
    outputs: tuple[Output, ...]
    vsize: int
    arrived: float

    @property
    def fee(self) -> int:
        """Sats for the miner; 0 for a coinbase."""
        if not self.inputs:
            return 0
        return sum(spent.sats for spent in self.inputs) - sum(output.sats for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Block:
    """One block; `transactions` begin with the coinbase."""

    height: int
    hash: str
    parent: str
    time: float
    difficulty: float
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Fees:
    """Fee rates in sat/vB for the next block, half an hour, an hour."""

    fast: float
    medium: float
    slow: float


@dataclass(frozen=True, slots=True)
class Mempool:
    """Waiting transactions: their number, virtual bytes and fees in sats."""

    count: int
    vsize: int
    total_fee: int


class Bitcoin:
    """The chain at any time. It has no state except caches, which instances with the same market share."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def height(self, time: float) -> int:
        """Height of the newest block at `time`."""
        height = int(time // SLOT) - _FIRST_SLOT
        return height if self.time_of(height) <= time else height - 1

    def time_of(self, height: int) -> float:
        """When block `height` is found: a whole second of its slot."""
        offset = Random(f"{self._market.seed}/slot/{height}").randrange(5, SLOT - 5)
        return float((height + _FIRST_SLOT) * SLOT + offset)

    def hash_of(self, height: int) -> str:
        """Hash of block `height`: 64 hex digits, the first twenty zero."""
        return "0" * 20 + _hex(f"{self._market.seed}/block/{height}")[20:]

    def height_of(self, block_hash: str, time: float) -> int | None:
        """Height of the block with this hash, if it is one of the last 300 at `time` (two days)."""
        newest = self.height(time)
        return next((h for h in range(newest, newest - 300, -1) if self.hash_of(h) == block_hash), None)

    def block(self, height: int) -> Block:
        """Block `height`, whether or not its time has come."""
        return _block(self._market, height)

    def count(self, height: int) -> int:
        """Number of transactions of block `height`, the coinbase included; cheap to compute."""
        return _count(self._market.seed, height)

    def transactions_24h(self, time: float) -> int:
        """Transactions in the blocks of the last 24 h."""
        return sum(self.count(height) for height in self._day(time))

    def blocks_24h(self, time: float) -> int:
        """Blocks found in the last 24 h."""
        return len(self._day(time))

    def waiting(self, time: float) -> tuple[Transaction, ...]:
        """Transactions of the next block that have arrived, the newest first."""
        due = self.block(self.height(time) + 1).transactions[1:]
        return tuple(sorted((tx for tx in due if tx.arrived <= time), key=lambda tx: -tx.arrived))

    def transaction(self, txid: str, time: float) -> tuple[Transaction, Block | None] | None:
        """A waiting transaction (with None for its block), or one of the last dozen blocks."""
        for tx in self.waiting(time):
            if tx.txid == txid:
                return tx, None
        newest = self.height(time)
        for height in range(newest, newest - 12, -1):
            block = self.block(height)
            for tx in block.transactions:
                if tx.txid == txid:
                    return tx, block
        return None

    def difficulty(self, time: float) -> float:
        """Difficulty of the newest block."""
        return self._difficulty_at(self.height(time))

    def hashrate(self, time: float) -> float:
        """Hashes per second, estimated from blocks of the last hours: near the value that the difficulty implies."""
        return self.difficulty(time) * 2**32 / SLOT * (1 + 0.04 * self._market.wave("bitcoin/hashrate", 21_600, time))

    def mempool(self, time: float) -> Mempool:
        """The whole mempool: far more than `waiting`, which has only transactions of the next block."""
        wave = self._market.wave
        share = 0.6 * wave("bitcoin/mempool", 7200, time) + 0.1 * wave("bitcoin/mempool/now", 30, time)
        count = round(45_000 * (1 + share))
        vsize = count * 520
        return Mempool(count, vsize, round(vsize * self.fees(time).slow / 4))

    def fees(self, time: float) -> Fees:
        """Fee rates, which depend on the size of the mempool; `fast` ≥ `medium` ≥ `slow` ≥ 1."""
        base = 4 + 2.5 * self._market.wave("bitcoin/mempool", 7200, time)
        base += 0.5 * self._market.wave("bitcoin/fees", 120, time)
        return Fees(fast=base * 1.5, medium=base * 1.2, slow=base)

    def price(self, time: float) -> float:
        """USD per bitcoin, without a venue's spread."""
        return self._market.price(self._market.by_id["bitcoin"], time)

    def supply(self, time: float) -> int:
        """Sats that exist after the newest block."""
        halvings, rest = divmod(self.height(time) + 1, 210_000)
        return sum(210_000 * (5_000_000_000 >> era) for era in range(halvings)) + rest * (5_000_000_000 >> halvings)

    def _day(self, time: float) -> range:
        newest = self.height(time)
        first = newest - int(DAY) // SLOT - 1
        while self.time_of(first) <= time - DAY:
            first += 1
        return range(first, newest + 1)

    def _difficulty_at(self, height: int) -> float:
        era = height // _RETARGET
        return _RECORDED_DIFFICULTY * (1 + 0.05 * self._market.wave("bitcoin/difficulty", 1, era))


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=8192)  # more than the month that a chart has
def _count(seed: int, height: int) -> int:
    return Random(f"{seed}/count/{height}").randint(_FEWEST, _MOST)


@lru_cache(maxsize=512)  # two days of blocks for one market; an older block is made again in some milliseconds
def _block(market: Market, height: int) -> Block:
    chain = Bitcoin(market)
    time = chain.time_of(height)
    maker = _Maker(market.seed, height, chain.time_of(height - 1), time, chain.price(time), chain.fees(time).slow)
    return Block(
        height=height,
        hash=chain.hash_of(height),
        parent=chain.hash_of(height - 1),
        time=time,
        difficulty=chain._difficulty_at(height),
        transactions=maker.transactions(chain.count(height)),
    )


class _Maker:
    """Makes the transactions of one block."""

    def __init__(self, seed: int, height: int, after: float, until: float, price: float, rate: float) -> None:
        self._random = Random(f"{seed}/transactions/{height}")
        self._name = f"{seed}/{height}"
        self._after, self._until = after, until
        self._price, self._rate = price, rate

    def transactions(self, count: int) -> tuple[Transaction, ...]:
        whales = set(self._random.sample(range(1, count), self._random.randint(3, 7)))
        spending = [self._large(i) if i in whales else self._small(i) for i in range(1, count)]
        earned = REWARD + sum(tx.fee for tx in spending)
        outputs = (Output(self._address(), earned), Output(None, 0))  # the second output commits to the witnesses
        return (Transaction(_hex(f"{self._name}/0"), (), outputs, 220, self._until), *spending)

    def _small(self, index: int) -> Transaction:
        sats = [int(10 ** self._random.uniform(4, 8.2)) for _ in range(self._random.choice((1, 1, 1, 2, 3)))]
        inputs = [Output(self._address(), amount) for amount in sats]
        paid = int(sum(sats) * self._random.uniform(0.1, 0.7))
        outputs = [Output(self._address(), paid)]
        if self._random.random() < 0.1:
            outputs.append(Output(None, 0))
        return self._sent(index, inputs, outputs)

    def _large(self, index: int) -> Transaction:
        """A transfer of 1.3 to 60 million USD (above a million at any price); to, from or between exchanges."""
        sats = int(1.3e6 * (60 / 1.3) ** (self._random.random() ** 2) / self._price * 1e8)
        kind = self._random.choice(("deposit", "withdrawal", "between", "private", "private"))
        first, second = self._random.sample(EXCHANGES, 2)
        sender = first if kind in ("withdrawal", "between") else self._address()
        receiver = second if kind in ("deposit", "between") else self._address()
        spare = int(sats * self._random.uniform(0.05, 1.5)) + 1_000_000
        split = self._random.randint(1, 3)
        whole = [(sats + spare) // split] * split
        return self._sent(index, [Output(sender, amount) for amount in whole], [Output(receiver, sats)])

    def _sent(self, index: int, inputs: list[Output], outputs: list[Output]) -> Transaction:
        """The transaction, with its fee and with the change to the first input's address."""
        vsize = 11 + 68 * len(inputs) + 31 * (len(outputs) + 1)
        fee = int(vsize * self._rate * self._random.uniform(0.5, 2.5)) + 1
        change = sum(spent.sats for spent in inputs) - sum(output.sats for output in outputs) - fee
        if change > 546:  # less is dust, which nodes don't relay: it goes to the miner
            outputs = [*outputs, Output(inputs[0].address, change)]
        arrived = self._random.uniform(self._after, self._until)
        return Transaction(_hex(f"{self._name}/{index}"), tuple(inputs), tuple(outputs), vsize, arrived)

    def _address(self) -> str:
        digest = self._random.randbytes(20)
        chance = self._random.random()
        if chance < 0.7:
            return segwit(digest)
        return legacy(digest) if chance < 0.85 else legacy(digest, 5)
