"""What providers answer: the typed values that `parse` makes of an upstream's bytes.

Part of the provider port: providers build these, services read them. Figures are USD unless they say otherwise;
`None` means that the upstream did not give the figure (zero stands for unknown at several of them; see PROVIDERS).
"""

from workers.answers.bitcoin import BitcoinStats, BtcBlock, BtcHeader, BtcOutput, BtcTransaction
from workers.answers.ethereum import EthBlock, EthereumStats, EthHeader, EthTransaction, TokenTransfer
from workers.answers.hub import Repo, RepoPage
from workers.answers.market import ListedCoin, Ticker
from workers.answers.news import Headline
from workers.answers.onchain import ContractLog
from workers.answers.sentiment import FearAndGreed, Post, PostPage
from workers.answers.whales import ReportedTransfer, TransferPage

__all__ = [
    "BitcoinStats",
    "BtcBlock",
    "BtcHeader",
    "BtcOutput",
    "BtcTransaction",
    "ContractLog",
    "EthBlock",
    "EthHeader",
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
