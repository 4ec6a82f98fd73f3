"""How old the figures of explorers may get. Figures of a day come with their source's own time, where it gives one."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

BITCOIN = Bound("explorers bitcoin", 120.0)  # a fifth of the time between two blocks; by then the mempool has changed
HASHRATE = Bound("explorers bitcoin hashrate", 7200.0)  # an average over three days: still right to a percent
BITCOIN_DAY = Bound("explorers bitcoin day", 7200.0)  # an older count no longer describes the last 24 hours
ETHEREUM = Bound("explorers ethereum", 30.0)  # two or three blocks
POINT = 3 * 86_400.0  # s since the beginning of a chart's newest day: usually yesterday, sometimes a day later
ETHEREUM_DAY = Bound("explorers ethereum day", 7200.0, POINT)

_CHAINS: Figures = {
    "chains.bitcoin.latest_block": (BITCOIN,),
    "chains.bitcoin.hashrate": (HASHRATE,),
    "chains.bitcoin.difficulty": (BITCOIN, HASHRATE),
    "chains.bitcoin.mempool_size": (BITCOIN,),
    "chains.bitcoin.transactions_count": (BITCOIN_DAY,),
    "chains.bitcoin.fees.fast": (BITCOIN,),
    "chains.bitcoin.fees.medium": (BITCOIN,),
    "chains.bitcoin.fees.slow": (BITCOIN,),
    "chains.ethereum.latest_block": (ETHEREUM,),
    "chains.ethereum.gas_price_gwei": (ETHEREUM,),
    "chains.ethereum.transactions_count": (ETHEREUM_DAY,),
}
FIGURES: Figures = {
    **_CHAINS,
    "latest_block": _CHAINS["chains.bitcoin.latest_block"],
    "network_hashrate": _CHAINS["chains.bitcoin.hashrate"],
    "difficulty": _CHAINS["chains.bitcoin.difficulty"],
    "mempool_size": _CHAINS["chains.bitcoin.mempool_size"],
    "transactions_count": _CHAINS["chains.bitcoin.transactions_count"],
}
