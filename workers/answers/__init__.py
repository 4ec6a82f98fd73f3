"""Answers of providers: the typed values that `parse` makes from an upstream's bytes.

Part of the provider port: providers build these, services read them. Figures are USD unless stated otherwise. `None`
means that the upstream did not give the figure; several of them use zero for unknown, and providers turn that zero into
`None`.
"""

from workers.answers.bitcoin import BitcoinStats, BtcBlock, BtcHeader, BtcOutput, BtcTransaction
from workers.answers.ethereum import (
    BlockReceipts,
    ChainHead,
    EthBlock,
    EthereumStats,
    EthHeader,
    EthLog,
    EthTransaction,
    TokenTransfer,
)
from workers.answers.hub import Repo, RepoPage
from workers.answers.market import DatedPrice, ListedCoin, Ticker
from workers.answers.news import Headline
from workers.answers.onchain import ActiveAddresses, ContractLog
from workers.answers.sentiment import FearAndGreed, Post, PostPage
from workers.answers.whales import ReportedTransfer, TransferPage

__all__ = [
    "ActiveAddresses",
    "BitcoinStats",
    "BlockReceipts",
    "BtcBlock",
    "BtcHeader",
    "BtcOutput",
    "BtcTransaction",
    "ChainHead",
    "ContractLog",
    "DatedPrice",
    "EthBlock",
    "EthHeader",
    "EthLog",
    "EthTransaction",
    "EthereumStats",
    "FearAndGreed",
    "Headline",
    "ListedCoin",
    "Post",
    "PostPage",
    "Repo",
    "RepoPage",
    "ReportedTransfer",
    "Ticker",
    "TokenTransfer",
    "TransferPage",
]
