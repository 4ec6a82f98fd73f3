"""Redis users: what each part of a cluster may do, and no more. Needs Redis 7.2: selectors, and CLIENT SETINFO.

The rules are Redis' own (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/): a command is
allowed wholly by the user's own rules, or wholly by one of the selectors in brackets. A script may do what its caller
may. AUTH, HELLO, QUIT and RESET are everybody's: Redis gives no way to refuse them.
"""

from __future__ import annotations

from shared.catalog import CHANNEL_NAMES

_ONLY = "on resetkeys resetchannels -@all +ping"


def users(prefix: str) -> dict[str, str]:
    """By name, the rules of every user but its password, for keys and channels that begin with `prefix`.

    `prefix` is a REDIS_PREFIX: it has no character that means something in Redis' patterns, and braces mean nothing.
    """
    channels = f"&{prefix}:{{*}}"
    # One by one, since what workers tell of themselves (`Channels.calls`) looks like a service.
    histories = " ".join(f"%R~{prefix}:{{{service}}}:*" for service in CHANNEL_NAMES)
    probes = f"&{prefix}:probe:*"
    return {
        # Nobody logs in as it. Its rights are for Redis itself, which before 8.4 replays the transactions of its log as
        # this user: those that it may not do are lost at a restart.
        "default": "off resetpass ~* &* +@all",
        # The health check has no password, and needs none: whether the server is there is no secret.
        "health": f"{_ONLY} nopass",
        "operator": "on ~* &* +@all",
        # Updates (publish.lua, which asks INFO who the server is), leases, budgets, reports, and the recorder's group.
        "worker": (
            f"{_ONLY} ~{prefix}:{{*}}:* ~{prefix}:lease:* ~{prefix}:budget:* {channels} +publish"
            " +get +set +del +hget +hmget +hset +hgetall +hincrby +zadd +zrange +zremrangebyscore +pttl +pexpire"
            " +xadd +xrange +xreadgroup +xack +xgroup|create +multi +exec +evalsha +script|load +time +info"
        ),
        "gateway": (
            f"{_ONLY} +multi +exec +script|load"
            f" (+subscribe {channels} {probes})"
            f" (+publish {probes})"
            f" (+hget +xrange {histories})"
            f" (+evalsha +get +set +time ~{prefix}:client_numbers)"
            " (+del +pexpire +hget +hset +hdel +hgetall +hlen +zadd +zrem +zcard +zrangebyscore +sadd +srem +smembers"
            f" ~{prefix}:presence:*)"
        ),
        # Internal tools: the channels, and what is kept of each service. No script, no transaction, no list of keys.
        # Clients that are not ours say who they are when they connect.
        "reader": (
            f"{_ONLY} +client|setname +client|setinfo"
            f" (+subscribe +unsubscribe +psubscribe +punsubscribe {channels})"
            f" (+get +hget +hmget +hgetall +xrange +xrevrange +xread +xlen +xinfo|stream {histories})"
        ),
    }
