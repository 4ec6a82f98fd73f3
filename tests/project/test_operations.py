"""The deployment's documents name what there is, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = {path.name: path.read_text() for path in sorted(ROOT.glob("docker-compose*.yml"))}
PAGES = [ROOT / "docs/how-to/operate.md", ROOT / "docs/how-to/when-something-fails.md", ROOT / "README.md"]
TEXT = "\n".join(page.read_text() for page in PAGES)
SERVICES = set(re.findall(r"^  ([a-z][a-z-]+):\n    (?:<<|image)", "\n".join(COMPOSE.values()), re.MULTILINE))
OURS = {"HOST", "PORT", "REDIS_URL", "DATABASE_URL", "FORWARDED_ALLOW_IPS", "WORKER_METRICS_PORT"}
"""Settings that the compose files decide themselves: who listens where, and where the others are."""


def test_every_variable_of_the_compose_files_is_explained() -> None:
    """Each `${NAME}` is a setting, which .env.example explains, or stands in operate.md."""
    used = {name for text in COMPOSE.values() for name in re.findall(r"\$\{([A-Z_]+)", text)}
    settings = {name.upper() for name in Settings.model_fields}
    explained = set(re.findall(r"`([A-Z_]+)", PAGES[0].read_text()))
    assert used - settings - explained == set()
    assert used >= {"PUBLISH_HOST", "PORT", "MAXCONN"}


def test_every_password_that_can_be_set_is_named() -> None:
    """What the one-shot container takes from the environment is what operate.md lists."""
    taken = set(re.findall(r"^      ([A-Z_]+_PASSWORD):$", COMPOSE["docker-compose.yml"], re.MULTILINE))
    assert len(taken) == 6
    assert taken == set(re.findall(r"`([A-Z_]+_PASSWORD)`", PAGES[0].read_text()))


@pytest.mark.parametrize("name", sorted(name.upper() for name in Settings.model_fields))
def test_every_setting_reaches_the_containers(name: str) -> None:
    """Each setting of the programs is passed on by the compose file, but for those that it decides itself."""
    passed = re.search(rf"^ +{name}:", COMPOSE["docker-compose.yml"], re.MULTILINE) is not None
    assert passed or name in OURS


def test_every_make_target_that_is_named_exists() -> None:
    """`make …` in the documents is a target of the Makefile."""
    targets = set(" ".join(re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)).split())
    named = set(re.findall(r"(?:^|`|&& |or: )make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named - targets == set()
    assert named >= {"up", "upgrade", "scale", "logs", "credentials"}


def test_every_service_that_is_named_exists() -> None:
    """What documents give to `docker compose run`, `exec`, `kill` and `--scale` is a service."""
    found = re.findall(r"docker compose (?:run --rm|exec|kill)((?: -\S+| [A-Z]\S+| \d+)*) ([a-z][a-z-]+)", TEXT)
    named = {name for _, name in found} | set(re.findall(r"--scale ([a-z-]+)=", TEXT))
    assert named >= {"tools", "redis", "gateway"}
    assert named - SERVICES == set()


def test_every_service_is_described() -> None:
    """operate.md tells of each what it is."""
    page = PAGES[0].read_text()
    assert {"redis", "postgres", "gateway", "balancer", "credentials", "tools", "simulator"} <= SERVICES
    assert [name for name in sorted(SERVICES) if f"`{name}`" not in page and name != "simulator"] == []
