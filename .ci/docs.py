"""Writes what documents and compose files list of settings and figures, and what the fault tests saw: `make docs`.

Each file of FILES has parts between two comments, `make docs: begin NAME` and `make docs: end`, which are replaced by
what PARTS makes under that name out of `shared.settings.Settings`, the services or FAULTS. The rest of a file is
written by hand.
`--check` writes nothing, and fails with a line for each file that would change.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shared.bus import Bus, open_redis  # noqa: E402
from shared.catalog import SERVICES  # noqa: E402
from shared.channels import Channels  # noqa: E402
from shared.settings import Group, Settings  # noqa: E402
from workers.asking.bounds import Bound, Figures, span  # noqa: E402
from workers.providers import PROVIDERS, provider_class  # noqa: E402
from workers.services import load_service  # noqa: E402
from workers.services.service import ServiceContext  # noqa: E402

FILES = (
    *(".env.example", "docker-compose.yml", "docs/reference/settings.md", "docs/reference/services.md"),
    "docs/explanation/delivery.md",
)
FAULTS = ROOT / "docs" / "explanation" / "faults.json"
"""A row per fault, written by `make test-faults ARGS=all`."""
PART = re.compile(
    r"(?P<begin>^[^\n]*make docs: begin (?P<name>[a-z_ ]+?)(?: -->)?\n).*?(?P<end>^[^\n]*make docs: end)", re.M | re.S
)
FROM_FILES = {"REDIS_URL", "DATABASE_URL"}
"""Not in the environment of containers: the `credentials` service writes files with them."""


def rendered(text: str) -> str:
    """`text` with every part made anew. Raises KeyError for a part that PARTS does not have."""
    by_hand = PART.sub("", text)
    return PART.sub(lambda part: part["begin"] + PARTS[part["name"]](by_hand) + part["end"], text)


def env_example(_: str) -> str:
    """Every setting, commented out at its default."""
    lines = []
    for group in Group:
        lines.append(f"## {group.value}\n")
        lines += [f"# {field.description}\n#{name}={_default(field)}\n" for name, field in _settings(group)]
    return "\n" + "\n".join(lines) + "\n"


def tables(_: str) -> str:
    """A table for each group."""
    lines = []
    for group in Group:
        lines += ["", f"## {group.value}", "", "| setting | default | unit | meaning |", "|---|---|---|---|"]
        for name, field in _settings(group):
            default = _default(field)
            cells = (f"`{name}`", f"`{default}`" if default else "", _extra(field)["unit"], field.description)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def passed_on(indent: int, *groups: Group) -> Callable[[str], str]:
    """Names that Compose passes on to containers, but for those that it gives a value of its own."""

    def names(by_hand: str) -> str:
        own = FROM_FILES | set(re.findall(r"^ +([A-Z_]+): \S", by_hand, re.MULTILINE))
        found = [name for group in groups for name, _ in _settings(group) if name not in own]
        return "".join(f"{' ' * indent}{name}:\n" for name in found)

    return names


def faults(_: str) -> str:
    """A table of what was broken, what clients saw of it, and when all was as before."""
    lines = ["", "| what happens | what clients get | live again after |", "|---|---|---|"]
    for row in json.loads(FAULTS.read_text()):
        seconds = "" if row["recovered_s"] is None else f"{row['recovered_s']:g} s"
        saw = row["saw"] if row["holds"] else f"{row['saw']} (a promise is broken)"
        lines.append(f"| {row['fault']} | {saw} | {seconds} |")
    return "\n".join(lines) + "\n\n"


def figures_of(service: str) -> Figures:
    """The bounds that a service states in its `figures.py`; none without one."""
    name = f"workers.services.{service}.figures"
    found: Figures = importlib.import_module(name).FIGURES if importlib.util.find_spec(name) else {}
    return found


def sources_of(service: str) -> dict[str, list[str]]:
    """The sources of each pool of a service in their order, with every key set."""
    wanted = (setting for name in PROVIDERS for setting in provider_class(name).key_settings)
    keys = {setting: "k/k" for setting in wanted if Settings.model_fields[setting].default is None}
    settings = Settings(_env_file=None, **keys, redis_url="redis://127.0.0.1:1/0")
    context = ServiceContext(
        settings=settings,
        fetcher=None,  # type: ignore[arg-type]  # nothing is asked
        bus=Bus(open_redis(settings), Channels(), 1),
        reports=None,  # type: ignore[arg-type]
        on_failover=lambda *told: None,
        latest=lambda service, seconds: None,
    )
    pools = load_service(service, context).pools
    return {pool.name: [source.provider.name for source in pool.sources] for pool in pools}


def ages(service: str) -> Callable[[str], str]:
    """A list of a service's figures: sources in order, and how old a figure may get. Those alike share an entry."""

    def entries(_: str) -> str:
        sources = sources_of(service)
        alike: dict[tuple[Bound, ...], list[str]] = {}
        for path, bounds in figures_of(service).items():
            alike.setdefault(tuple(bounds), []).append(f"`{path}`")
        lines = [
            f"- {', '.join(paths)}: " + "; then ".join(_bound(bound, sources[bound.pool]) for bound in bounds) + "."
            for bounds, paths in alike.items()
        ]
        wrapped = ("\n".join(textwrap.wrap(line, 128, subsequent_indent="  ")) for line in lines)
        return "\n" + "\n".join(wrapped) + "\n\n"

    return entries


def _bound(bound: Bound, sources: list[str]) -> str:
    days = f", and until {span(bound.day)} after the beginning of the day that it is of" if bound.day else ""
    part = f"{bound.part} from " if bound.part else ""
    return f"{part}{', '.join(f'`{name}`' for name in sources)}, for {span(bound.longest)}{days}"


PARTS: dict[str, Callable[[str], str]] = {
    **{f"ages in {service}": ages(service) for service in SERVICES if figures_of(service)},
    "settings": env_example,
    "tables of settings": tables,
    "settings of every process": passed_on(2, Group.ALL),
    "settings of workers": passed_on(4, Group.WORKER, Group.PROVIDERS),
    "settings of gateways": passed_on(6, Group.GATEWAY),
    "faults": faults,
}


def _settings(group: Group) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if _extra(field)["group"] == group.name:
            yield name.upper(), field


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra: Any = field.json_schema_extra
    return extra


def _default(field: FieldInfo) -> str:
    """As it would stand in `.env`."""
    value: Any = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def main() -> int:
    """Write the files, or with `--check` only look."""
    parser = argparse.ArgumentParser(description="write what documents say of settings and figures")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file would change")
    check = parser.parse_args().check
    stale = [name for name in FILES if rendered((ROOT / name).read_text()) != (ROOT / name).read_text()]
    for name in stale:
        print(f"`make docs` would change {name}" if check else f"wrote {name}")
        if not check:
            (ROOT / name).write_text(rendered((ROOT / name).read_text()))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
