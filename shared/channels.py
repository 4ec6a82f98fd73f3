"""The name of every Redis key and channel.

Keys with the same text in braces are on one Redis Cluster slot, so that one Lua script may use all of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Channels:
    """Names that begin with `prefix`: REDIS_PREFIX, or a prefix per test."""

    prefix: str = "coinwire"

    def channel(self, service: str) -> str:
        """The pub/sub channel of a service: one MessagePack map per message."""
        return f"{self.prefix}:{{{service}}}"

    def last(self, service: str) -> str:
        """String: the newest message, for late joiners."""
        return f"{self.prefix}:{{{service}}}:last"

    def stream(self, service: str) -> str:
        """Stream: the recent history, entry id `<seq>-0`, field `m`; publish.lua bounds it."""
        return f"{self.prefix}:{{{service}}}:stream"

    def meta(self, service: str) -> str:
        """Hash: `epoch`, `seq` and `published_at` (ms) of the newest update; the rest in publish.lua."""
        return f"{self.prefix}:{{{service}}}:meta"

    def coins(self, service: str) -> str:
        """Hash: `list` (JSON) of the coins that the workers of a service know, and its `version`."""
        return f"{self.prefix}:{{{service}}}:coins"

    def service_of(self, channel: str) -> str | None:
        """The service of a channel, or None for a name that is no service's channel."""
        start, end = f"{self.prefix}:{{", "}"
        if channel.startswith(start) and channel.endswith(end):
            return channel[len(start) : -len(end)]
        return None

    def probe(self, node: str) -> str:
        """The channel of a subscriber's probes, which prove that Redis still delivers to it."""
        return f"{self.prefix}:probe:{node}"

    def lease(self, name: str) -> str:
        """String: who holds the lease `name`; expires with it."""
        return f"{self.prefix}:lease:{{{name}}}"

    def handover(self, name: str) -> str:
        """List: has an entry for a second after the holder gave the lease `name` back, for one who waits for it."""
        return f"{self.prefix}:lease:{{{name}}}:handover"

    def fence(self, name: str) -> str:
        """Integer: the last fence handed out for the lease `name`; it only grows."""
        return f"{self.prefix}:lease:{{{name}}}:fence"

    @property
    def client_numbers(self) -> str:
        """Integer: the highest client number handed out to any gateway."""
        return f"{self.prefix}:client_numbers"

    @property
    def nodes(self) -> str:
        """Set: gateway nodes. A node whose counts have expired is gone."""
        return f"{self.prefix}:presence:nodes"

    def presence(self, node: str) -> str:
        """Hash: client id to MessagePack `[connected_at, last_activity, subscriptions]` of one gateway; expires."""
        return f"{self.prefix}:presence:{{{node}}}:clients"

    def presence_order(self, node: str) -> str:
        """Sorted set: client ids of one gateway by client number; expires."""
        return f"{self.prefix}:presence:{{{node}}}:order"

    def presence_counts(self, node: str) -> str:
        """Hash: `total` and one subscriber count per service, of one gateway; expires."""
        return f"{self.prefix}:presence:{{{node}}}:counts"

    @property
    def calls(self) -> str:
        """Hash: provider to the outcome of its last call (MessagePack of `CallReport`)."""
        return f"{self.prefix}:{{reports}}:calls"

    @property
    def call_failures(self) -> str:
        """Hash: provider to the number of failed calls since the last success."""
        return f"{self.prefix}:{{reports}}:call_failures"

    @property
    def pools(self) -> str:
        """Hash: service to the state of its source pools (MessagePack of `PoolsReport`)."""
        return f"{self.prefix}:{{reports}}:pools"

    @property
    def failovers(self) -> str:
        """Hash: service to the number of failovers since the cluster was set up."""
        return f"{self.prefix}:{{reports}}:failovers"

    @property
    def jobs(self) -> str:
        """Hash: category to the jobs of the worker that leads it, or led it last (MessagePack of `JobsReport`)."""
        return f"{self.prefix}:{{reports}}:jobs"

    def report_number(self, reporter: str) -> str:
        """Integer: the number of a reporter's newest report; expires."""
        return f"{self.prefix}:{{reports}}:number:{reporter}"

    def budget(self, provider: str) -> str:
        """Sorted set: the cluster's calls of a provider within its budget's window, by time (ms)."""
        return f"{self.prefix}:budget:{{{provider}}}"

    def budget_block(self, provider: str) -> str:
        """String: exists while the provider must not be called (Retry-After); expires with that."""
        return f"{self.prefix}:budget:{{{provider}}}:blocked"
