"""Redis users: what each part of a cluster may do, and no more. Needs Redis 7 (selectors, rights to read or to write keys).

The rules are Redis' own (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/): a command is
allowed wholly by the user's own rules, or wholly by one of the selectors in brackets. A script may do what its caller
may.
"""

from __future__ import annotations

from shared.catalog import CHANNEL_NAMES

_CONNECT = "+auth +hello +ping +select +quit +reset +client|setname +client|setinfo +client|id"
"""What clients say before their first question. None of it shows or changes anything of others."""


def users(prefix: str) -> dict[str, str]:
    """By name, the rules of every user but its password, for keys and channels that begin with `prefix`."""
    channels = f"&{prefix}:{{*}}"  # braces mean nothing in a pattern
    histories = " ".join(f"%R~{prefix}:{{{service}}}:*" for service in CHANNEL_NAMES)
    return {
        # Who has no password may ask whether the server is there, as the health check does, and log in.
        "default": "on nopass resetkeys resetchannels -@all +ping +auth",
        "operator": "on ~* &* +@all",
        "worker": (
            f"on resetkeys resetchannels ~{prefix}:* &{prefix}:* -@all {_CONNECT}"
            " +get +set +del +hget +hmget +hset +hgetall +hincrby +pttl +pexpire +time +info"
            " +zadd +zrange +zremrangebyscore +xadd +xrange +xack +xreadgroup +xgroup|create +publish"
            " +eval +evalsha +script|load +multi +exec +discard"
        ),
        "gateway": (
            f"on resetkeys resetchannels -@all {_CONNECT} +multi +exec +discard +script|load +time"
            f" (-@all +get +hget +xrange {histories})"
            f" (-@all +subscribe +unsubscribe {channels} &{prefix}:probe:*)"
            f" (-@all +publish &{prefix}:probe:*)"
            " (-@all +get +set +del +hget +hset +hdel +hgetall +hlen +zadd +zrem +zcard +zrangebyscore"
            f" +sadd +srem +smembers +pexpire +eval +evalsha +time ~{prefix}:presence:* ~{prefix}:client_numbers)"
        ),
        # Internal tools: the channels, and what is kept of each service.
        "reader": (
            f"on resetkeys resetchannels -@all {_CONNECT}"
            " (-@all +get +exists +type +hget +hmget +hgetall +xrange +xrevrange +xread +xlen +xinfo|stream"
            f" {histories})"
            f" (-@all +subscribe +unsubscribe +psubscribe +punsubscribe {channels})"
        ),
    }
