"""The simulated Ethereum and other EVM chains: heights, headers and fees as a function of (seed, time).

Block `n` of a chain has its own slot, `block_time` after that of `n - 1`, and none is missed. Ethereum's blocks hold
transactions (see `simulator.world.ethereum_blocks`); blocks of the other chains are empty, as no service reads them.
The base fee is a smooth walk, and a block's use of gas follows from the next base fee according to EIP-1559.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulator.world import ethereum_blocks
from simulator.world.market import DAY, Market

_GWEI = 1_000_000_000
_FEE_WALK = ((3600.0, 0.7), (600.0, 0.35), (48.0, 0.09))
"""(period in seconds, largest deviation of the base fee's logarithm). Together they stay, from one block to the next
12 s later, below the 12.5 % that EIP-1559 allows."""
_ELASTICITY, _DENOMINATOR = 2, 8
"""Constants of EIP-1559: a block's target is half its limit; a full block raises the base fee by an eighth."""


@dataclass(frozen=True, slots=True)
class Network:
    """One EVM chain. Block `number` came at `time` (unix seconds), as recorded or documented."""

    chain_id: int
    block_time: float
    number: int
    time: float
    gas_limit: int
    base_fee: float
    """Gwei in the middle of its walk; 0 for a chain without a base fee."""
    tip: float
    """Gwei that a transaction pays above the base fee."""


NETWORKS = {
    # publicnode had block 25092276 on 2026-05-14; slots begin at 1606824023 + 12 k.
    "ethereum": Network(1, 12.0, 25_092_276, 1_778_748_503.0, 60_000_000, 0.6, 0.05),
    "bsc": Network(56, 0.75, 58_054_314, 1_755_538_889.75, 75_000_000, 0.0, 0.1),
    "polygon": Network(137, 2.0, 35_057_569, 1_667_285_686.0, 45_000_000, 60.0, 30.0),
    "base": Network(8453, 2.0, 11_382_950, 1_709_555_247.0, 240_000_000, 0.005, 0.001),
    "optimism": Network(10, 2.0, 105_235_063, 1_686_068_903.0, 60_000_000, 0.001, 0.001),
    "arbitrum": Network(42161, 0.25, 22_207_817, 1_661_956_342.0, 1 << 50, 0.01, 0.0),
}
"""The chains of the default nodes. Numbers and times are from recorded blocks; Optimism's are those of its Bedrock
block, Arbitrum's of the first Nitro block (2022-08-31).
"""


class EvmChain:
    """One chain at any time. It has no state except a cache of blocks, which instances with the same market share."""

    def __init__(self, market: Market, name: str) -> None:
        """KeyError for a chain that is not in NETWORKS."""
        self.market = market
        self.name = name
        self.network = NETWORKS[name]

    def height(self, time: float) -> int:
        """Number of the newest block at `time`; 0 before the first one."""
        return max(0, self.network.number + math.floor((time - self.network.time) / self.network.block_time))

    def time_of(self, number: int) -> float:
        """Unix seconds of block `number`."""
        return self.network.time + (number - self.network.number) * self.network.block_time

    def hash_of(self, number: int) -> str:
        """Hash of block `number`."""
        return "0x" + hashlib.sha256(f"{self.market.seed}/{self.name}/block/{number}".encode()).hexdigest()

    def base_fee(self, number: int) -> int:
        """Wei per unit of gas in block `number`."""
        time = self.time_of(number)
        walk = sum(size * self.market.wave(f"{self.name}/fee/{period:g}", period, time) for period, size in _FEE_WALK)
        return round(self.network.base_fee * _GWEI * math.exp(walk))

    def gas_used(self, number: int) -> int:
        """Gas used in block `number`; it results in the next block's base fee."""
        target = self.network.gas_limit // _ELASTICITY
        fee = self.base_fee(number)
        if fee == 0:
            return round(target * (1 + 0.5 * self.market.wave(f"{self.name}/gas", 48.0, self.time_of(number))))
        delta = self.base_fee(number + 1) - fee
        return min(max(round(target * (1 + delta * _DENOMINATOR / fee)), 0), self.network.gas_limit)

    def gas_price(self, time: float) -> int:
        """Wei per unit of gas that nodes suggest at `time`: the next base fee plus a tip."""
        return self.base_fee(self.height(time) + 1) + self.tip(self.height(time))

    def tip(self, number: int) -> int:
        """The usual tip in block `number`: wei per unit of gas above the base fee."""
        wave = self.market.wave(f"{self.name}/tip", 120.0, self.time_of(number))
        return round(self.network.tip * _GWEI * (1 + 0.4 * wave))

    def block(self, number: int) -> dict[str, Any]:
        """Block `number` in the form of eth_getBlockByNumber(number, true), also if its time is in the future.

        The object is shared: don't change it.
        """
        return _block(self.market, self.name, number)

    def logs(self, number: int) -> list[dict[str, Any]]:
        """Logs of block `number` in the form of eth_getLogs. The object is shared: don't change it."""
        return [log for receipt in self.receipts(number) for log in receipt["logs"]]

    def receipts(self, number: int) -> list[dict[str, Any]]:
        """Receipts of block `number` in the form of eth_getBlockReceipts. The object is shared: don't change it."""
        return []

    def receipt(self, transaction: str) -> dict[str, Any] | None:
        """Receipt of the transaction with this hash; None if there is no such transaction."""
        number, index = ethereum_blocks.place_of(transaction)
        if abs(number - self.network.number) > 10**8:
            return None  # an unknown hash decodes to any number; this avoids making those blocks
        receipts = self.receipts(number)
        found = receipts[index] if index < len(receipts) else None
        return found if found is not None and found["transactionHash"] == transaction.lower() else None


class Ethereum(EvmChain):
    """Mainnet, with transactions."""

    def __init__(self, market: Market) -> None:
        super().__init__(market, "ethereum")

    def count(self, number: int) -> int:
        """Number of transactions of block `number`, a fifth of the real 200; cheap to compute."""
        return 30 + zlib.crc32(f"{self.market.seed}/ethereum/count/{number}".encode()) % 21

    def transactions_24h(self, time: float) -> int:
        """Transactions in the blocks of the last 24 h."""
        return _count_day(self.market, self.height(time))

    def receipts(self, number: int) -> list[dict[str, Any]]:
        """See EvmChain."""
        return _contents(self.market, number).receipts


@lru_cache(maxsize=8)  # a few hosts ask for the same time; the sum of a day takes 5 ms
def _count_day(market: Market, height: int) -> int:
    chain = Ethereum(market)
    return sum(chain.count(number) for number in range(height - int(DAY) // 12 + 1, height + 1))


@lru_cache(maxsize=256)  # nearly an hour; an older block is made again in a millisecond or two
def _contents(market: Market, number: int) -> ethereum_blocks.Contents:
    chain = Ethereum(market)
    time = chain.time_of(number)
    prices = {name: market.price(market.by_id[name], time) for name in ethereum_blocks.PRICED}
    place = ethereum_blocks.BlockHead(
        seed=market.seed,
        number=number,
        hash=chain.hash_of(number),
        time=int(time),
        base_fee=chain.base_fee(number),
        tip=chain.tip(number),
        gas_used=chain.gas_used(number),
        prices=prices,
    )
    return ethereum_blocks.fill(place, chain.count(number))


@lru_cache(maxsize=512)  # of all chains
def _block(market: Market, name: str, number: int) -> dict[str, Any]:
    chain = EvmChain(market, name)
    contents = _contents(market, number) if name == "ethereum" else ethereum_blocks.Contents([], [])
    transactions = contents.transactions
    noise = hashlib.sha256(f"{market.seed}/{name}/rest/{number}".encode()).hexdigest()
    fields = {
        "baseFeePerGas": hex(chain.base_fee(number)),
        "blobGasUsed": hex(sum(0x20000 for tx in transactions if tx["type"] == "0x3")),
        "difficulty": "0x0",
        "excessBlobGas": "0x0",
        "extraData": "0x73696d756c61746564",  # "simulated"
        "gasLimit": hex(chain.network.gas_limit),
        "gasUsed": hex(chain.gas_used(number)),
        "hash": chain.hash_of(number),
        "logsBloom": contents.bloom,
        "miner": "0x" + noise[:40],
        "mixHash": "0x" + noise,
        "nonce": "0x0000000000000000",
        "number": hex(number),
        "parentBeaconBlockRoot": "0x" + noise[::-1],
        "parentHash": chain.hash_of(number - 1),
        "receiptsRoot": "0x" + noise[8:] + noise[:8],
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "size": hex(1200 + 320 * len(transactions)),
        "stateRoot": "0x" + noise[16:] + noise[:16],
        "timestamp": hex(int(chain.time_of(number))),
        "transactions": transactions,
        "transactionsRoot": "0x" + noise[24:] + noise[:24],
        "uncles": [],
        "withdrawals": [],
        "withdrawalsRoot": "0x" + noise[32:] + noise[:32],
    }
    if name == "bsc":
        fields["milliTimestamp"] = hex(int(chain.time_of(number) * 1000))
    return fields
