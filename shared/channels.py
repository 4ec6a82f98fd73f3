"""Every Redis key and channel name, and nothing else.

The braces hold what belongs together on one Redis Cluster slot, so that one Lua script may touch all of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Channels:
    """Names under one `prefix`. Production uses `coinwire`; every test has a prefix of its own."""

    prefix: str = "coinwire"

    def channel(self, service: str) -> str:
        """The pub/sub channel of a service: one MessagePack map a message."""
        return f"{self.prefix}:{{{service}}}"

    def last(self, service: str) -> str:
        """String: the newest message, for late joiners."""
        return f"{self.prefix}:{{{service}}}:last"

    def stream(self, service: str) -> str:
        """Stream: the recent history, entry id `<seq>-0`, field `m`, bounded by length."""
        return f"{self.prefix}:{{{service}}}:stream"

    def meta(self, service: str) -> str:
        """Hash: `epoch`, `seq`, `fence`; of the last publish the server's `run_id` and the `publisher`; `cursor`."""
        return f"{self.prefix}:{{{service}}}:meta"

    def service_of(self, channel: str) -> str | None:
        """The service whose channel this is, or None for a name that is not a service's."""
        start, end = f"{self.prefix}:{{", "}"
        if channel.startswith(start) and channel.endswith(end):
            return channel[len(start) : -len(end)]
        return None

    def probe(self, node: str) -> str:
        """The channel on which a subscriber proves to itself that Redis still delivers to it."""
        return f"{self.prefix}:probe:{node}"

    def lease(self, name: str) -> str:
        """String: who holds the lease `name`; expires with it."""
        return f"{self.prefix}:lease:{{{name}}}"

    def fence(self, name: str) -> str:
        """Integer: the fence handed out last for the lease `name`; only grows."""
        return f"{self.prefix}:lease:{{{name}}}:fence"

    @property
    def client_numbers(self) -> str:
        """Integer: the highest client number handed out to any gateway."""
        return f"{self.prefix}:client_numbers"

    @property
    def nodes(self) -> str:
        """Set: gateway nodes; those whose counts have expired are gone."""
        return f"{self.prefix}:presence:nodes"

    def presence(self, node: str) -> str:
        """Hash: client id to MessagePack `[connected_at, last_activity, subscriptions]` of one gateway; expires."""
        return f"{self.prefix}:presence:{{{node}}}:clients"

    def presence_order(self, node: str) -> str:
        """Sorted set: client ids of one gateway by client number; expires."""
        return f"{self.prefix}:presence:{{{node}}}:order"

    def presence_counts(self, node: str) -> str:
        """Hash: `total` and one subscriber count a service, of one gateway; expires."""
        return f"{self.prefix}:presence:{{{node}}}:counts"

    @property
    def calls(self) -> str:
        """Hash: provider to what its last call gave (MessagePack of `CallReport`)."""
        return f"{self.prefix}:{{reports}}:calls"

    @property
    def call_failures(self) -> str:
        """Hash: provider to the number of calls that failed since the last that did not."""
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
        """Hash: category to the jobs of the worker that led it last (MessagePack of `JobsReport`)."""
        return f"{self.prefix}:{{reports}}:jobs"

    def budget(self, provider: str) -> str:
        """Sorted set: the calls the cluster made to a provider within its budget's window, by time (ms)."""
        return f"{self.prefix}:budget:{{{provider}}}"

    def budget_block(self, provider: str) -> str:
        """String: stands while the provider asked to be left alone (Retry-After); expires with that."""
        return f"{self.prefix}:budget:{{{provider}}}:blocked"
