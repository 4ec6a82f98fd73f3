"""docs/reference/metrics.md says what the registries of gateways and workers hold."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from gateway.node import Node
from gateway.protocol import ACTIONS, ERROR_CODES, CloseCode
from shared.catalog import CATEGORIES, CHANNEL_NAMES, of_category
from shared.metrics import REFUSALS
from shared.settings import Settings
from tests.places import ROOT
from tests.project.test_reference import table
from workers.worker import Worker

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
NAME = re.compile(r"\b(?:coinwire|process)_[a-z_]+\b")
ALERT = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`")


class Row(NamedTuple):
    """What the page says of a metric."""

    type: str
    labels: dict[str, set[str]]
    """Label to those of its values that the page lists."""
    alert: str


class Metric(NamedTuple):
    """What a registry says of one."""

    type: str
    labels: tuple[str, ...]
    starts: dict[str, set[str]]
    """Label to the values that are there from the start."""


def rows(section: str) -> dict[str, Row]:
    """The table of a section, by metric."""
    _, _, text = PAGE.partition(f"\n## {section}\n")
    assert text, section
    text = text.partition("\n## ")[0]
    found = {
        name.strip("`"): Row(kind, {label: set() for label in re.findall(r"`([a-z]+)`", labels)}, alert)
        for name, kind, labels, _, alert in table(text, "metric")
    }
    for place, values, _ in table(text, f"label of a {section.lower().removesuffix('s')}"):
        name, label = re.findall(r"`([^`]+)`", place)
        found[name].labels[label].update(re.findall(r"`([^`]+)`", values))
    return found


def metrics(registry: CollectorRegistry) -> dict[str, Metric]:
    """Every metric under the name that is exported, those without a sample too."""
    found = {}
    for collector in registry._collector_to_names:  # only samples are public, and what nothing was counted of has none
        for family in collector.collect():
            labels = tuple(collector._labelnames) if isinstance(collector, MetricWrapperBase) else ()
            starts = {label: {sample.labels[label] for sample in family.samples} for label in labels}
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = Metric(family.type, labels, starts)
    return found


SECRETLESS = Settings(_env_file=None, redis_url="redis://127.0.0.1:1/0")  # type: ignore[call-arg, arg-type]  # nobody is asked


@pytest.fixture
async def gateway() -> dict[str, Metric]:
    """What a gateway exports."""
    return metrics(Node(SECRETLESS).registry)


@pytest.fixture
async def workers() -> AsyncIterator[list[dict[str, Metric]]]:
    """What the worker of each category exports."""
    working = [Worker(SECRETLESS, name) for name in CATEGORIES]
    yield [metrics(worker._registry) for worker in working]
    for worker in working:
        await worker.aclose()


def agrees(row: Row, metric: Metric) -> bool:
    """Whether type and labels are those of the metric."""
    return (row.type, tuple(row.labels)) == (metric.type, metric.labels)


def test_every_metric_of_a_gateway_is_there_and_no_other(gateway: dict[str, Metric]) -> None:
    """With its type and its labels."""
    documented = rows("Every process") | rows("Gateways")
    assert set(documented) == set(gateway)
    assert [name for name, row in documented.items() if not agrees(row, gateway[name])] == []


def test_every_metric_of_a_worker_is_there_and_no_other(workers: list[dict[str, Metric]]) -> None:
    """Every category has the same ones."""
    documented = rows("Every process") | rows("Workers")
    for exported in workers:
        assert set(documented) == set(exported)
        assert [name for name, row in documented.items() if not agrees(row, exported[name])] == []


def test_listed_values_are_those_that_there_are(gateway: dict[str, Metric], workers: list[dict[str, Metric]]) -> None:
    """Where a registry starts with values, or the protocol has a list of them, the page lists exactly these."""
    documented = rows("Gateways") | rows("Workers")
    listed = {(name, label): values for name, row in documented.items() for label, values in row.labels.items()}
    lists = {
        ("coinwire_gateway_commands_total", "action"): set(ACTIONS),
        ("coinwire_gateway_errors_total", "code"): set(ERROR_CODES),
    }
    for exported in (gateway, *workers):
        for name, metric in exported.items():
            named = {label: values for label, values in metric.starts.items() if label not in ("service", "provider")}
            lists |= {(name, label): values for label, values in named.items() if values}
    for (name, label), values in lists.items():
        where = f"docs/reference/metrics.md, values of `{label}` of {name}:"
        missing, unknown = values - listed[name, label], listed[name, label] - values
        assert not missing, f"{where} {', '.join(sorted(missing))} is not listed"
        assert not unknown, f"{where} there is no {', '.join(sorted(unknown))}"


def test_what_alerts_watch_is_there_from_the_start(
    gateway: dict[str, Metric], workers: list[dict[str, Metric]]
) -> None:
    """With 0 for each service: to Prometheus, what appears as 1 has not increased."""
    for name in ("received", "gap_unfilled", "malformed"):
        assert gateway[f"coinwire_bus_{name}_total"].starts["service"] == set(CHANNEL_NAMES)
    for category, exported in zip(CATEGORIES, workers, strict=True):
        for name in ("published", "failed", "failovers"):
            assert exported[f"coinwire_worker_{name}_total"].starts["service"] == set(of_category(category))
        refused, asks = exported["coinwire_provider_refusals_total"], category != "monitoring"
        assert refused.starts["kind"] == (set(REFUSALS) if asks else set())
        assert ("coingecko" in refused.starts["provider"]) == (category == "data_collection")
        stored = set(CHANNEL_NAMES) if "persistence" in of_category(category) else set()
        for name in ("stored", "missed"):
            assert exported[f"coinwire_worker_{name}_total"].starts["service"] == stored


def test_reasons_to_close_are_those_of_the_protocol(gateway: dict[str, Metric]) -> None:
    """With those that the WebSocket protocol itself has (1002, 1007, 1011), and the other cause of 1008."""
    codes = {code.name.lower() for code in CloseCode} | {"protocol", "not_utf8", "no_pong", "failed", "flood"}
    assert gateway["coinwire_gateway_closed_total"].starts["reason"] == codes


def test_queries_ask_for_what_there_is() -> None:
    """No rule and no query on the page names a metric that is not exported, or is exported under another name."""
    exported = set(rows("Every process")) | set(rows("Gateways")) | set(rows("Workers"))
    assert set(NAME.findall(PAGE)) == exported


def test_every_alert_has_its_rule_and_every_rule_its_metric() -> None:
    """The tables name exactly the alerts that are defined, each in the row of a metric that its expression asks for."""
    tables, _, rules = PAGE.partition("\n## Alerts\n")
    defined = dict(re.findall(r"- alert: (\w+)\n(.*?)(?=\n +- alert:|\n```)", rules, re.DOTALL))
    lines = [line for line in tables.splitlines() if line.startswith("| `")]
    assert {name for line in lines for name in ALERT.findall(line)} == set(defined)
    for name, rule in defined.items():
        expression = rule.partition("expr: ")[2].partition("labels: ")[0]
        asked = set(re.findall(r"\b(?:coinwire|process|haproxy)_[a-z_]+", expression))
        assert any(f"`{name}`" in line and asked & set(re.findall(r"`([a-z_]+)`", line)) for line in lines), name
        assert re.search(r"severity: (page|ticket) ", rule), name
        assert "summary: " in rule, name


@pytest.mark.parametrize("section", ["Gateways", "Workers"])
def test_every_metric_has_somebody_who_looks_at_it(section: str) -> None:
    """Each metric has an alert or a dashboard query; only metrics of normal operation have none."""
    queries = PAGE.partition("\n## Dashboard\n")[2].partition("\n## ")[0]
    silent = {name for name, row in rows(section).items() if not row.alert and name not in NAME.findall(queries)}
    assert silent <= {"coinwire_bus_duplicates_total"}
