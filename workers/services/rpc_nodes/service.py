"""rpc_nodes: the state of every configured JSON-RPC node, and the events of their chains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog

from shared.errors import ProviderError, RateBudgetError
from shared.payloads import RpcNodes
from shared.payloads.rpc_nodes import ChainEvent, RpcNode
from shared.timestamps import iso
from workers.asking.gathering import gather_all
from workers.asking.pool import SourcePool
from workers.asking.ports import ChainNode, HeaderSource
from workers.asking.provider import Ask
from workers.services.rpc_nodes.chain_view import View, candidates, follow, follow_heights
from workers.services.rpc_nodes.nodes import NodeAddress, chain_of, nodes_of, open_node
from workers.services.service import Service, ServiceContext

log = structlog.get_logger()

News = tuple[str, View | None, Sequence[ChainEvent]]
"""A chain, its view now, and the events since the previous view."""

_ROWS_SHARE = 0.6  # share of a cycle for the nodes' state; the rest is for headers of new blocks
_IDENTITY_EVERY = 3600.0  # s after which a node's chain is verified again: an address may get another node
_TRIES = 2  # nodes of one chain asked for new blocks in one cycle; if both fail, the next cycle publishes them
_LONGEST_ERROR = 200  # characters of a row's error: a sentence


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node's answers in one cycle."""

    height: int
    gas_price: int | None
    """Wei."""
    milliseconds: float
    """Time until it answered with its height, including the count of the call in Redis."""


class RpcNodesService(Service):
    """Keeps each chain as published, so that each event is published once, in order, whichever worker leads."""

    def __init__(self, context: ServiceContext, timer: Callable[[], float] = time.perf_counter) -> None:
        """`timer` measures how fast nodes answer, in seconds. Raises SettingsError."""
        self._context = context
        self._timer = timer
        self._nodes = nodes_of(context.settings)
        self._providers: dict[str, ChainNode] = {node.label: open_node(node) for node in self._nodes}
        self.pool: SourcePool[ChainNode] = context.pool_of("rpc_nodes", list(self._providers.values()))
        self._verified: dict[str, float] = {}
        """By node, when its chain was verified last, by the context's clock."""
        self._views: dict[str, View] = {}

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pool: every source is asked in each cycle, without failover."""
        return (self.pool,)

    @property
    def cursor(self) -> bytes:
        """See Resuming: the recent blocks of each chain."""
        return msgspec.msgpack.encode(self._views)

    def resume(self, cursor: bytes | None) -> None:
        """See Resuming. Without a cursor each chain begins at its head."""
        self._views = {}
        if cursor is not None:
            try:
                self._views = msgspec.msgpack.decode(cursor, type=dict[str, View])
            except msgspec.DecodeError:
                # Written by another version: treat its blocks as published.
                log.warning("the stored blocks can't be read, chains begin with their heads", service="rpc_nodes")

    async def collect(self, now: float, deadline: float) -> RpcNodes:
        """See Service. Raises NoSourceError if no node answers."""
        end = self._timer() + deadline
        errors: dict[str, ProviderError] = {}
        question = partial(self._question, errors)
        answers = dict(await self.pool.ask_all(question, deadline * _ROWS_SHARE, cooling=True))
        chains = dict.fromkeys(node.chain for node in self._nodes)
        heights = {chain: _heights(self._nodes, chain, answers) for chain in chains}
        news = await self._all_news(heights, max(end - self._timer(), 0.0))
        self._views = {**self._views, **{chain: view for chain, view, _ in news if view is not None}}
        for source in self.pool.sources:
            name = source.provider.name
            if isinstance(errors.get(name), RateBudgetError) and source.error is not None:
                errors[name] = source.error  # report why the node has a pause, not that it has one
        rows = [self._row(node, answers.get(node.label), errors.get(node.label), heights) for node in self._nodes]
        return RpcNodes(
            timestamp=iso(now),
            nodes=rows,
            active_nodes=sum(row.status == "active" for row in rows),
            total_nodes=len(rows),
            average_latency=round(sum(state.milliseconds for state in answers.values()) / len(answers), 1),
            events=[event for _, _, events in news for event in events],
            as_of={self._context.label(name): iso(now) for name in answers},
        )

    async def _question(self, errors: dict[str, ProviderError], provider: ChainNode, ask: Ask) -> NodeState:
        """One node's state. An error is also stored in `errors`."""
        try:
            await self._verify(provider, ask)
            began = self._timer()
            height = await provider.height(ask)
            milliseconds = (self._timer() - began) * 1000
            return NodeState(height, await _gas_price(provider, ask), milliseconds)
        except ProviderError as error:
            errors[provider.name] = error
            raise

    async def _verify(self, provider: ChainNode, ask: Ask) -> None:
        """Raises ProviderError if a node is on another chain than configured."""
        expected, now = chain_of(provider.chain).identity, self._context.clock()
        if expected is None or now - self._verified.get(provider.name, float("-inf")) < _IDENTITY_EVERY:
            return
        found = await provider.identity(ask)
        if found != expected:
            raise ProviderError(provider.name, f"on chain {found} instead of {expected}")
        self._verified[provider.name] = now

    async def _all_news(self, heights: Mapping[str, Mapping[str, int]], seconds: float) -> list[News]:
        """The news of each chain with a node that answered; all are asked at once."""
        asking = [self._news(chain, found, seconds) for chain, found in heights.items() if found]
        return await gather_all(*asking)

    async def _news(self, chain: str, heights: Mapping[str, int], seconds: float) -> News:
        view = self._views.get(chain)
        if not all(isinstance(self._providers[name], HeaderSource) for name in heights):
            return chain, *follow_heights(chain, view, heights)
        for name in candidates(view, heights)[:_TRIES]:
            provider: Any = self._providers[name]
            header = partial(provider.header, self._context.fetcher.asker(provider, seconds / _TRIES))
            try:
                return chain, *await follow(chain, view, name, header, chain_of(chain).newest)
            except ProviderError as error:
                # It returned its height, so it is not down; a later cycle publishes the missed blocks.
                log.debug("no headers", node=name, reason=error.reason)
        return chain, view, ()

    def _row(
        self,
        node: NodeAddress,
        state: NodeState | None,
        error: ProviderError | None,
        heights: Mapping[str, Mapping[str, int]],
    ) -> RpcNode:
        name = self._context.label(node.label)
        if state is None:
            return RpcNode(
                name=name,
                chain=node.chain,
                status="down",
                block_number=None,
                block_lag=None,
                gas_price_gwei=None,
                response_time_ms=None,
                error=_told(error),
            )
        lag = max(heights[node.chain].values()) - state.height
        return RpcNode(
            name=name,
            chain=node.chain,
            status="lagging" if lag >= chain_of(node.chain).lag_limit else "active",
            block_number=state.height,
            block_lag=lag,
            gas_price_gwei=state.gas_price / 1e9 if state.gas_price is not None else None,
            response_time_ms=round(state.milliseconds, 1),
            error=None,
        )


async def _gas_price(provider: ChainNode, ask: Ask) -> int | None:
    """Wei; None if the chain has none, or the node does not answer."""
    try:
        return await provider.suggested_gas_price(ask)
    except ProviderError:
        return None  # it returned its height, so it is not down


def _heights(nodes: Sequence[NodeAddress], chain: str, answers: Mapping[str, NodeState]) -> dict[str, int]:
    """Heights of the nodes of `chain` that answered, in their order."""
    return {node.label: answers[node.label].height for node in nodes if node.chain == chain and node.label in answers}


def _told(error: ProviderError | None) -> str:
    """An error as text. It never holds a URL; see ProviderError."""
    if error is None:
        return "no answer"
    return (error.reason + (f" (field {error.field})" if error.field else ""))[:_LONGEST_ERROR]
