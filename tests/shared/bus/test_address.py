"""REDIS_URL: what it may be, and that no part of it is printed."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection

from shared.bus import open_redis
from shared.bus.address import Host, parse_address
from shared.errors import SettingsError
from shared.settings import Settings

SECRET = "hunter2-do-not-print"  # noqa: S105


@pytest.mark.parametrize(
    ("url", "hosts", "service", "database"),
    [
        ("redis+sentinel://one:1,two:2,[::1]:3/prices/4", (("one", 1), ("two", 2), ("::1", 3)), "prices", 4),
        ("redis+sentinel://one,two/prices", (("one", 26379), ("two", 26379)), "prices", 0),
        ("redis+sentinel://one/my%2Fprices/0", (("one", 26379),), "my/prices", 0),
        ("redis+sentinel://one/prices?db=2", (("one", 26379),), "prices", 2),
    ],
)
def test_an_address_of_sentinels_has_hosts_a_service_and_a_database(
    url: str, hosts: tuple[Host, ...], service: str, database: int
) -> None:
    """Ports default to 26379, the database to 0."""
    address = parse_address(url)
    assert (address.kind, address.hosts, address.service) == ("sentinel", hosts, service)
    assert address.options.get("db", 0) == database


def test_sentinels_have_a_login_of_their_own() -> None:
    """What stands before the @ is for the servers; options give the Sentinels' user and password."""
    address = parse_address(
        "redis+sentinel://me:p%40w@one/prices/0?sentinel_username=you&sentinel_password=q%26w&health_check_interval=9"
    )
    assert (address.options["username"], address.options["password"]) == ("me", "p@w")
    assert address.options["health_check_interval"] == 9
    assert address.sentinel_options == {"username": "you", "password": "q&w"}
    assert parse_address("redis+sentinel://:pw@one/prices").sentinel_options == {}


def test_tls_is_for_sentinels_and_servers() -> None:
    """With rediss+sentinel, certificates are checked as the same options say."""
    address = parse_address("rediss+sentinel://one/prices?ssl_ca_certs=/ca.pem&sentinel_password=q")
    for options in (address.options, address.sentinel_options):
        assert options["connection_class"] is SSLConnection
        assert options["ssl_ca_certs"] == "/ca.pem"
    assert parse_address("rediss+cluster://one").options["connection_class"] is SSLConnection


@pytest.mark.parametrize("path", ["", "/", "/0", "?max_connections=7"])
def test_an_address_of_a_cluster_has_hosts_and_no_database(path: str) -> None:
    """Ports default to 6379. A cluster has only database 0."""
    address = parse_address(f"redis+cluster://me:pw@one:7000,two{path}")
    assert (address.kind, address.hosts) == ("cluster", (("one", 7000), ("two", 6379)))
    assert (address.options["username"], address.options["password"]) == ("me", "pw")
    assert "db" not in address.options


def test_an_address_does_not_print_its_passwords() -> None:
    """Neither form of printing has a password."""
    address = parse_address(f"redis+sentinel://me:{SECRET}@one/prices?sentinel_password={SECRET}")
    assert SECRET not in repr(address)
    assert SECRET not in str(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"redis+sentinel://:{SECRET}@one", "name of the service is missing"),
        (f"redis+sentinel://:{SECRET}@one/", "name of the service is missing"),
        (f"redis+sentinel://:{SECRET}@one/prices/{SECRET}", "database is a number"),
        (f"redis+sentinel://:{SECRET}@one/prices/0/1", "nothing follows it"),
        (f"redis+sentinel://:{SECRET}@one:none/prices", "separated by commas"),
        (f"redis+sentinel://:{SECRET}@one:70000/prices", "separated by commas"),
        (f"redis+sentinel://:{SECRET}@/prices", "separated by commas"),
        (f"redis+sentinel://:{SECRET}/{SECRET}@one/prices", "separated by commas"),
        (f"redis+sentinel://:{SECRET}#{SECRET}@one/prices", "written %23"),
        (f"redis+cluster://:{SECRET}@one/1", "only database 0"),
        (f"redis+cluster://:{SECRET}@one?db=1", "only database 0"),
        (f"redis+cluster://:{SECRET}@one/{SECRET}", "database is a number"),
        (f"redis+cluster://:{SECRET}@one?sentinel_password={SECRET}", "don't apply"),
        (f"redis+cluster://:{SECRET}@one?no_such_option={SECRET}", "options that redis-py knows"),
        (f"redis+sentinel://:{SECRET}@one/prices?no_such_option={SECRET}", "options that redis-py knows"),
        (f"redis+sentinel://:{SECRET}@one/prices?db={SECRET}", "options that redis-py knows"),
        (f"redis://:{SECRET}@one?protocol=3", "sets the option protocol itself"),
        (f"redis+cluster://:{SECRET}@one?decode_responses=1", "sets the option decode_responses itself"),
        (f"redis-sentinel://:{SECRET}@one/prices", "nor redis.sentinel:// or redis.cluster://"),
    ],
)
def test_an_address_that_cannot_be_used_says_why_and_nothing_of_itself(url: str, reason: str) -> None:
    """Every message is found when the client is opened, names its reason, and has no part of the URL."""
    with pytest.raises(SettingsError, match=f"^REDIS_URL: .*{reason}") as refused:
        open_redis(Settings(_env_file=None, redis_url=url))
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
