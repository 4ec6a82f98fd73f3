"""Redis users: each part of a cluster may do what its code does, and no more. Needs Redis 7.2 (CLIENT SETINFO).

The rules are Redis' own (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/): a command must
be allowed in full by the user's own rules, or in full by one of the selectors in brackets. A script may do what its
caller may. Every user may send AUTH, HELLO, QUIT and RESET: Redis can't refuse them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from shared.catalog import CHANNEL_NAMES

_ONLY = "on resetkeys resetchannels -@all +ping"
_CLUSTER = "+cluster|slots +asking"  # who serves a slot, and to be served by the node that a slot is on its way to


def users(prefix: str) -> dict[str, str]:
    """The rules of each user, without its password, for keys and channels that begin with `prefix`.

    `prefix` is a REDIS_PREFIX, which has no special character of Redis' patterns. Braces are no special characters.
    """
    channels = f"&{prefix}:{{*}}"
    # Named one by one, because the key of the workers' reports (`Channels.calls`) looks like that of a service.
    histories = " ".join(f"%R~{prefix}:{{{service}}}:*" for service in CHANNEL_NAMES)
    streams = " ".join(f"~{prefix}:{{{service}}}:stream" for service in CHANNEL_NAMES)
    probes = f"&{prefix}:probe:*"
    # Internal tools: the channels and keys of the services. No scripts, no transactions, no listing of keys.
    # CLIENT SETNAME and SETINFO are for client libraries that send them when they connect; COMMAND is for those that
    # look up which argument is the key, as redis-py does on a Cluster.
    reader = (
        f"{_ONLY} +client|setname +client|setinfo +command {_CLUSTER}"
        f" (+subscribe +unsubscribe +psubscribe +punsubscribe +ssubscribe +sunsubscribe {channels})"
        f" (+get +hget +hmget +hgetall +xrange +xrevrange +xread +xlen +xinfo|stream {histories})"
    )
    return {
        # Nobody can log in as this user. Before 8.4, Redis replays the transactions of its log as `default`: a
        # command that `default` may not send is lost at a restart.
        "default": "off resetpass ~* &* +@all",
        # The health check needs no password: whether the server runs is no secret.
        "health": f"{_ONLY} nopass",
        "operator": "on ~* &* +@all",
        # Updates (publish.lua reads INFO), leases, budgets, reports, and the recorder's consumer group.
        "worker": (
            f"{_ONLY} ~{prefix}:{{*}}:* ~{prefix}:lease:* ~{prefix}:budget:* {channels} +publish +spublish"
            " +get +set +del +hget +hmget +hset +hgetall +hincrby +zadd +zrange +zremrangebyscore +pttl +pexpire"
            " +lpush +blpop +xadd +xtrim +xrange +xreadgroup +xack +xgroup|create"
            f" +multi +exec +evalsha +script|load +time +info +wait {_CLUSTER}"
        ),
        "gateway": (
            f"{_ONLY} +multi +exec +script|load +role {_CLUSTER}"
            f" (+subscribe +ssubscribe {channels} {probes})"
            f" (+publish +spublish {probes})"
            f" (+hget +hmget +xrange {histories})"
            f" (+evalsha +get +set +time ~{prefix}:client_numbers)"
            " (+del +pexpire +hget +hset +hdel +hgetall +hlen +zadd +zrem +zcard +zrangebyscore +sadd +srem +smembers"
            f" ~{prefix}:presence:*)"
        ),
        "reader": reader,
        # Tools that read the streams as consumer groups of their own. No rule can name a group, so this user could read
        # and acknowledge as the recorder's too. It can't delete or move (SETID) a group, nor delete an entry.
        "consumer": (
            f"{reader}"
            f" (+xgroup|create +xgroup|createconsumer +xreadgroup +xack +xpending +xclaim +xautoclaim"
            f" +xinfo|groups +xinfo|consumers {streams})"
        ),
    }


def replication_users() -> dict[str, str]:
    """The same for users of replicated servers: their Sentinels, and their replicas.

    What a Sentinel sends: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
    """
    return {
        "sentinel": (
            "on resetkeys allchannels -@all +ping +info +role +multi +exec +slaveof +publish +subscribe"
            " +config|rewrite +client|setname +client|kill +script|kill"
        ),
        "replica": "on resetkeys resetchannels -@all +ping +psync +replconf",
    }


def sentinel_users() -> dict[str, str]:
    """The users of the Sentinels themselves. Each Sentinel talks to the others as `sentinel`.

    `watcher` is every coinwire process: it may ask who is the primary, and change nothing.
    """
    return {
        "default": "off resetpass -@all",
        "health": f"{_ONLY} nopass",
        "sentinel": "on allkeys allchannels +@all",
        "watcher": f"{_ONLY} +sentinel|master",
    }


def user_lines(rules: Mapping[str, str], passwords: Mapping[str, str]) -> str:
    """Lines of an `aclfile`, or of a configuration: each user, with the hash of its password where it has one."""
    lines = []
    for name, rule in rules.items():
        digest = f" #{hashlib.sha256(passwords[name].encode()).hexdigest()}" if name in passwords else ""
        lines.append(f"user {name} {rule}{digest}\n")
    return "".join(lines)
