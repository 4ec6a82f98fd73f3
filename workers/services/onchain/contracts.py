"""The events of Ethereum contracts that onchain publishes: rare ones, of well-known contracts.

The projects publish the addresses; Etherscan has the verified source of each. A topic is the Keccak-256
of the event's signature (tests/workers/services/onchain/test_contracts.py computes them all).
"""

from __future__ import annotations

from dataclasses import dataclass

TETHER = "0xdac17f958d2ee523a2206206994597c13d831ec7"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
WBTC = "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
UNISWAP_V3_FACTORY = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
AAVE_V3_POOL = "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2"


@dataclass(frozen=True, slots=True)
class Watched:
    """One event of one contract."""

    contract: str
    """Address, lower case."""
    signature: str
    """Name and types in the form that is hashed."""
    topic: str
    """The hash, with which each of its logs begins."""

    @property
    def event(self) -> str:
        """Its name in the contract's source."""
        return self.signature.partition("(")[0]


WATCHED: tuple[Watched, ...] = (
    # TetherToken.sol: tokens issued and taken back, and addresses whose tokens are frozen or destroyed.
    Watched(TETHER, "Issue(uint256)", "0xcb8241adb0c3fdb35b70c24ce35c5eb0c17af7431c99f827d44a445ca624176a"),
    Watched(TETHER, "Redeem(uint256)", "0x702d5967f45f6513a38ffc42d6ba9bf230bd40e8f53b16363c7eb4fd2deb9a44"),
    Watched(TETHER, "AddedBlackList(address)", "0x42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc"),
    Watched(TETHER, "RemovedBlackList(address)", "0xd7e9ec6e6ecd65492dce6bf513cd6867560d49544421d0783ddf06e76c24470c"),
    Watched(
        TETHER,
        "DestroyedBlackFunds(address,uint256)",
        "0x61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6",
    ),
    # github.com/circlefin/stablecoin-evm: FiatTokenV1.sol, Blacklistable.sol.
    Watched(
        USDC, "Mint(address,address,uint256)", "0xab8530f87dc9b59234c4623bf917212bb2536d647574c8e7e5da92c2ede0c9f8"
    ),
    Watched(USDC, "Burn(address,uint256)", "0xcc16f5dbb4873280815c1ee09dbd06736cffcc184412cf7a71a0fdb75d397ca5"),
    Watched(USDC, "Blacklisted(address)", "0xffa4e6181777692565cf28528fc88fd1516ea86b56da075235fa575af6a4b855"),
    Watched(USDC, "UnBlacklisted(address)", "0x117e3210bb9aa7d9baff172026820255c6f6c30ba8999d1c2fd88e2848137c4e"),
    # github.com/WrappedBTC/bitcoin-token-smart-contracts: WBTC.sol, OpenZeppelin's mintable and burnable token.
    Watched(WBTC, "Mint(address,uint256)", "0x0f6798a560793a54c3bcfe86a93cde1e73087d944c0ea20544137d4121396885"),
    Watched(WBTC, "Burn(address,uint256)", "0xcc16f5dbb4873280815c1ee09dbd06736cffcc184412cf7a71a0fdb75d397ca5"),
    # github.com/Uniswap/v3-core: IUniswapV3Factory.sol.
    Watched(
        UNISWAP_V3_FACTORY,
        "PoolCreated(address,address,uint24,int24,address)",
        "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118",
    ),
    # github.com/aave-dao/aave-v3-origin: IPool.sol.
    Watched(
        AAVE_V3_POOL,
        "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
        "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286",
    ),
)
"""Without Transfer and Swap, which occur hundreds of times per block."""

ADDRESSES: tuple[str, ...] = tuple(dict.fromkeys(watched.contract for watched in WATCHED))
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(watched.topic for watched in WATCHED))
NAMES: dict[tuple[str, str], str] = {(watched.contract, watched.topic): watched.event for watched in WATCHED}
"""The event by contract and topic. Nodes can't filter by pairs, so other logs among their results are dropped."""
