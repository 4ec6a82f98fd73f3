"""rpc_nodes: the state of every configured JSON-RPC node, and the events of their chains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from shared.errors import ProviderError, RateBudgetError
from shared.payloads import RpcNodes
from shared.payloads.rpc_nodes import ChainEvent, RpcNode, average_latency
from shared.timestamps import iso
from workers.answers import ChainHead, EthHeader
from workers.asking.gathering import gather_all
from workers.asking.moments import Moments
from workers.asking.pool import SourcePool
from workers.asking.ports import ChainNode, HeaderSource
from workers.asking.provider import Ask
from workers.services.rpc_nodes.chain_view import Header, View, candidates, follow, follow_heights
from workers.services.rpc_nodes.chains import chain_of
from workers.services.rpc_nodes.heights import Claim, Memory, Verdict, judge
from workers.services.rpc_nodes.nodes import NodeAddress, nodes_of, open_node
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

    head: ChainHead
    gas_price: int | None
    """Wei."""
    milliseconds: float
    """Time until it answered with its newest block, including the counts of the calls in Redis."""

    @property
    def claim(self) -> Claim:
        """What it says about its height."""
        return Claim(self.head.number, self.head.time)


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
        self._memories: dict[str, Memory] = {}
        """What is known of each chain's height."""
        self._doubted: set[str] = set()
        """Nodes that were logged as set aside."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pool: every source is asked in each cycle, without failover."""
        return (self.pool,)

    @property
    def cursor(self) -> bytes:
        """See Resuming: the recent blocks of each chain."""
        views = {chain: replace(view, memory=self._memories[chain]) for chain, view in self._views.items()}
        return msgspec.msgpack.encode(views)

    def resume(self, cursor: bytes | None) -> None:
        """See Resuming. Without a cursor each chain begins at its head."""
        self._views, self._memories = {}, {}
        if cursor is not None:
            try:
                self._views = msgspec.msgpack.decode(cursor, type=dict[str, View])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                # Written by another version: treat its blocks as published.
                log.warning("the stored blocks can't be read, chains begin with their heads", service="rpc_nodes")
        self._memories = {chain: view.memory for chain, view in self._views.items()}

    async def collect(self, now: float, deadline: float) -> RpcNodes:
        """See Service. Raises NoSourceError if no node answers."""
        end = self._timer() + deadline
        errors: dict[str, ProviderError] = {}
        question = partial(self._question, errors)
        answers = dict(await self.pool.ask_all(question, deadline * _ROWS_SHARE, cooling=True))
        verdicts, believed = self._judge(answers, now)
        news = await self._all_news(believed, answers, max(end - self._timer(), 0.0))
        self._views = {**self._views, **{chain: view for chain, view, _ in news if view is not None}}
        for source in self.pool.sources:
            name = source.provider.name
            if isinstance(errors.get(name), RateBudgetError) and source.error is not None:
                errors[name] = source.error  # report why the node has a pause, not that it has one
        rows = [
            self._row(node, answers.get(node.label), errors.get(node.label), verdicts.get(node.label))
            for node in self._nodes
        ]
        moments = Moments(self._context.label)
        for node, row in zip(self._nodes, rows, strict=True):
            if row.status != "down":
                moments.note_dated(node.label, answers[node.label].head.time, now)
        return RpcNodes(
            timestamp=iso(now),
            nodes=rows,
            active_nodes=sum(row.status == "active" for row in rows),
            total_nodes=len(rows),
            average_latency=average_latency(state.milliseconds for state in answers.values()),
            events=[event for _, _, events in news for event in events],
            as_of=moments.as_of,
        )

    async def _question(self, errors: dict[str, ProviderError], provider: ChainNode, ask: Ask) -> NodeState:
        """One node's state. An error is also stored in `errors`."""
        try:
            await self._verify(provider, ask)
            began = self._timer()
            head = await provider.head(ask)
            milliseconds = (self._timer() - began) * 1000
            return NodeState(head, await _gas_price(provider, ask), milliseconds)
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

    def _judge(
        self, answers: Mapping[str, NodeState], now: float
    ) -> tuple[dict[str, Verdict], dict[str, dict[str, int]]]:
        """The verdict on each node that answered, and by chain the heights of the nodes that are believed."""
        verdicts: dict[str, Verdict] = {}
        believed: dict[str, dict[str, int]] = {}
        for name in dict.fromkeys(node.chain for node in self._nodes):
            nodes = [node.label for node in self._nodes if node.chain == name and node.label in answers]
            claims = {label: answers[label].claim for label in nodes}
            judgement = judge(chain_of(name), claims, now, self._memories.get(name, Memory()))
            self._memories[name] = judgement.memory
            verdicts |= judgement.verdicts
            if judgement.height is not None:
                self._forget_wrong(name, judgement.height)
                heights = {label: claims[label].height for label in nodes if verdicts[label].status == "active"}
                believed[name] = heights
        self._log(verdicts)
        return verdicts, believed

    def _forget_wrong(self, chain: str, height: int) -> None:
        """Drop the published blocks of a chain if they are far above its head: they were never on it."""
        view = self._views.get(chain)
        if view is not None and view.last.number - height > max(chain_of(chain).depth, chain_of(chain).slack):
            log.warning("published blocks were wrong", chain=chain, block=view.last.number, head=height)
            del self._views[chain]

    def _log(self, verdicts: Mapping[str, Verdict]) -> None:
        """Log once that a node is not believed, and once that it is again."""
        for label, verdict in verdicts.items():
            if verdict.reason is not None and label not in self._doubted:
                log.warning("node set aside", node=label, status=verdict.status, reason=verdict.reason)
                self._doubted.add(label)
            elif verdict.status == "active" and label in self._doubted:
                log.info("node believed again", node=label)
                self._doubted.discard(label)

    async def _all_news(
        self, heights: Mapping[str, Mapping[str, int]], answers: Mapping[str, NodeState], seconds: float
    ) -> list[News]:
        """The news of each chain with a node that is believed; all are asked at once."""
        asking = [self._news(chain, found, answers, seconds) for chain, found in heights.items() if found]
        return await gather_all(*asking)

    async def _news(
        self, chain: str, heights: Mapping[str, int], answers: Mapping[str, NodeState], seconds: float
    ) -> News:
        view = self._views.get(chain)
        if not all(isinstance(self._providers[name], HeaderSource) for name in heights):
            return chain, *follow_heights(chain, view, heights)
        for name in candidates(view, heights)[:_TRIES]:
            header = self._headers(name, answers[name].head, seconds / _TRIES)
            try:
                return chain, *await follow(chain, view, name, header, chain_of(chain).newest)
            except ProviderError as error:
                # It returned its height, so it is not down; a later cycle publishes the missed blocks.
                log.debug("no headers", node=name, reason=error.reason)
        return chain, view, ()

    def _headers(self, name: str, head: ChainHead, seconds: float) -> Header:
        """Headers of one node. Its newest is the one that was judged: the next answer may be another backend's."""
        provider: Any = self._providers[name]
        ask = self._context.fetcher.asker(provider, seconds)

        async def header(number: int | None) -> EthHeader | None:
            return head.header if number is None else await provider.header(ask, number)

        return header

    def _row(
        self,
        node: NodeAddress,
        state: NodeState | None,
        error: ProviderError | None,
        verdict: Verdict | None,
    ) -> RpcNode:
        name = self._context.label(node.label)
        if state is None or verdict is None or verdict.status == "down":
            return RpcNode(
                name=name,
                chain=node.chain,
                status="down",
                block_number=None,
                block_lag=None,
                gas_price_gwei=None,
                response_time_ms=None,
                error=_told(error) if verdict is None else verdict.reason,
            )
        return RpcNode(
            name=name,
            chain=node.chain,
            status=verdict.status,
            block_number=state.head.number,
            block_lag=verdict.lag,
            gas_price_gwei=state.gas_price / 1e9 if state.gas_price is not None else None,
            response_time_ms=round(state.milliseconds, 1),
            error=verdict.reason,
        )


async def _gas_price(provider: ChainNode, ask: Ask) -> int | None:
    """Wei; None if the chain has none, or the node does not answer."""
    try:
        return await provider.suggested_gas_price(ask)
    except ProviderError:
        return None  # it returned its height, so it is not down


def _told(error: ProviderError | None) -> str:
    """An error as text. It never holds a URL; see ProviderError."""
    if error is None:
        return "no answer"
    return (error.reason + (f" (field {error.field})" if error.field else ""))[:_LONGEST_ERROR]
