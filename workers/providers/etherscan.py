"""Etherscan V2: https://docs.etherscan.io/introduction

Free keys: 3 calls per second and 100,000 per day, for some chains (https://docs.etherscan.io/resources/rate-limits).
Every error is HTTP 200 with `status: "0"` and its text in `result`: that of a limit is `Max rate limit reached`,
`Max calls per sec rate limit reached (3/sec)` or `Max daily rate limit reached`, which ends at 00:00 UTC.
`module=proxy` passes on a node's JSON-RPC answer, with an id of its own and no status.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import msgspec
from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ChainHead
from workers.asking.jsonrpc import BigQuantity, Quantity, decode_result, refused, shortened, unhex
from workers.asking.limits import limit_in, refusal
from workers.asking.ports import EthereumHead
from workers.asking.provider import Ask, Parsers, Request, decode

NAME = "etherscan"
_ETHEREUM = "1"
_PATH = "/v2/api"

T = TypeVar("T")


class _Answer(Struct):
    status: str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


def parse_height(body: bytes) -> int:
    """eth_blockNumber. Raises ProviderError."""
    return unhex(_proxied(body, Quantity))


def parse_wei(body: bytes) -> int:
    """eth_gasPrice. Raises ProviderError."""
    return unhex(_proxied(body, BigQuantity))


class _Head(Struct):
    number: Quantity
    timestamp: Quantity


def parse_head(body: bytes) -> ChainHead:
    """eth_getBlockByNumber: number and time. Raises ProviderError."""
    head = _proxied(body, _Head)
    return ChainHead(number=unhex(head.number), time=float(unhex(head.timestamp)))


class Etherscan(EthereumHead):
    """Ethereum's head and gas price, from another operator than the public nodes."""

    name = NAME
    base_url = "https://api.etherscan.io"
    budget = Budget(
        2, 2.0
    )  # two at once are below a free key's 3 per second; at one per second its 100,000 last the day
    key_settings = ("etherscan_key",)
    needs_key = True
    parsers: ClassVar[Parsers] = {"height": parse_height, "head": parse_head, "wei": parse_wei}

    def __init__(self, key: str) -> None:
        self._key = key

    async def probe(self, ask: Ask) -> None:
        """See Provider. The newest block's number."""
        await self.height(ask)

    async def height(self, ask: Ask) -> int:
        """See EthereumHead."""
        return await ask(self._proxy("eth_blockNumber", parse_height))

    async def head(self, ask: Ask) -> ChainHead:
        """See EthereumHead."""
        return await ask(self._proxy("eth_getBlockByNumber", parse_head, tag="latest", boolean="false"))

    async def gas_price(self, ask: Ask) -> int:
        """See EthereumHead. The suggestion of its node."""
        return await ask(self._proxy("eth_gasPrice", parse_wei))

    def _proxy(self, action: str, parse: Callable[[bytes], T], **arguments: str) -> Request[T]:
        params = {"chainid": _ETHEREUM, "module": "proxy", "action": action, **arguments, "apikey": self._key}
        return Request(_PATH, parse, params)


def _proxied(body: bytes, kind: type[T]) -> T:
    """The result of a proxied call. Raises ProviderError with the message of Etherscan or the node behind it."""
    answer = decode(NAME, body, _Answer)
    if bytes(answer.error) not in (b"", b"null"):
        raise refused(NAME, bytes(answer.error))
    if not bytes(answer.result):
        raise limit_in(NAME, body) or ProviderError(NAME, "neither a result nor an error")
    if answer.status is not None:
        # "0" is an error; "1" would be an answer of another module.
        text = shortened(bytes(answer.result).decode(errors="replace").strip('"'))
        raise refusal(NAME, f"error in the answer: {text}", text)
    return decode_result(NAME, bytes(answer.result), kind)
