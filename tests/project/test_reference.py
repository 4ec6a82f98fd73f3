"""docs/reference/services.md says what the payload types and the services' pools say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import msgspec.inspect as inspect
import pytest

from shared.bus import Bus, open_redis
from shared.catalog import SERVICES
from shared.channels import Channels
from shared.settings import Settings
from tests.places import ROOT
from tests.workers.stage import is_node
from workers.providers import PROVIDERS, provider_class
from workers.services import load_service
from workers.services.service import ServiceContext

PAGE = (ROOT / "docs" / "reference" / "services.md").read_text()
NOT_NULL = "never"
KEYS = Settings(
    _env_file=None,
    **{
        setting: f"{'k' * 10}/{'k' * 10}"
        for name in PROVIDERS
        for setting in provider_class(name).key_settings
        if Settings.model_fields[setting].default is None  # plans have one
    },
    redis_url="redis://127.0.0.1:1/0",
)
"""Every provider with a key."""


def section(name: str) -> str:
    """The part of the page that is about a service."""
    found = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/services.md has no section ## `{name}`"
    return found[1]


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column is called `first`, without its head."""
    _, _, rest = text.partition(f"| {first} |")
    rows = itertools.takewhile(lambda line: line.startswith("|"), rest.splitlines()[1:])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows][1:]


def fields(kind: inspect.Type, path: str) -> Iterator[tuple[str, bool]]:
    """Every figure below `path` as the page names it, and whether it may be null."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        nullable = any(isinstance(option, inspect.NoneType) for option in kind.types)
        (inner,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
        if isinstance(inner, inspect.StructType):
            yield path, nullable
            yield from fields(inner, path)
        else:
            for name, _ in fields(inner, path):
                yield name, nullable
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from fields(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(kind, inspect.ListType):
        yield from fields(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from fields(kind.value_type, f"{path}.*")
    else:
        yield path, False


def sources_by_pool(name: str) -> dict[str, list[str]]:
    """The providers of each pool of a service, in their order, when every key is set."""
    context = ServiceContext(
        settings=KEYS,
        fetcher=None,  # type: ignore[arg-type]  # nothing is asked
        bus=Bus(open_redis(KEYS), Channels(), 1),
        reports=None,  # type: ignore[arg-type]
        on_failover=lambda *told: None,
        latest=lambda service, seconds: None,
    )
    pools = load_service(name, context).pools
    return {pool.name: [source.provider.name for source in pool.sources] for pool in pools}


def sources(name: str) -> set[str]:
    """The providers that a service asks when every key is set."""
    return {source for members in sources_by_pool(name).values() for source in members}


@pytest.mark.parametrize("name", SERVICES)
def test_every_field_is_there_with_its_unit_and_what_null_means(name: str) -> None:
    """Each figure of the payload type has its line, none has one too many, and each that may be null says when."""
    expected = dict(fields(inspect.type_info(SERVICES[name].payload), ""))
    rows = {row[0].strip("`"): row for row in table(section(name), "field")}
    for path in expected.keys() ^ rows.keys():
        assert path in rows, f"docs/reference/services.md, {name}: no row for the field {path}"
        assert path in expected, f"docs/reference/services.md, {name}: there is no field {path}"
    for path, (_, unit, null) in rows.items():
        assert unit, path
        assert (null != NOT_NULL) == expected[path], path
        assert null, path


@pytest.mark.parametrize("name", SERVICES)
def test_every_source_is_there_and_no_other(name: str) -> None:
    """The table of sources names the providers of the service's pools, the keyed ones too."""
    named = {source for row in table(section(name), "source") for source in re.findall(r"`([a-z0-9_/]+)`", row[0])}
    asked = sources(name)
    assert asked <= named, f"docs/reference/services.md, {name}: no row for {', '.join(sorted(asked - named))}"
    assert named <= asked, f"docs/reference/services.md, {name}: {', '.join(sorted(named - asked))} is not asked"


@pytest.mark.parametrize("name", SERVICES)
def test_every_interval_is_there(name: str) -> None:
    """A section says what its service carries, and how often it publishes."""
    carried = {"state": "Carries a state.", "events": "Carries events."}[SERVICES[name].carries]
    assert section(name).startswith(f"\n{carried}\n")
    assert f"every {SERVICES[name].interval:g} s" in section(name)


def test_every_provider_is_somebodys_source() -> None:
    """Every provider is a source of some service."""
    used = set().union(*map(sources, SERVICES))
    for name in PROVIDERS:
        assert name in used or is_node(name), f"no service asks {name}"
