"""The deployment's documents name what there is, and all of it."""

from __future__ import annotations

import ast
import re

import pytest

from shared.settings import Group, Settings
from tests.places import ROOT

COMPOSE = {path.name: path.read_text() for path in sorted(ROOT.glob("docker-compose*.yml"))}
PAGES = [ROOT / "docs/how-to/operate.md", ROOT / "docs/how-to/when-something-fails.md", ROOT / "README.md"]
TEXT = "\n".join(page.read_text() for page in PAGES)
SERVICES = set(re.findall(r"^  ([a-z][a-z-]+):\n    (?:<<|image)", "\n".join(COMPOSE.values()), re.MULTILINE))
COMMANDS = {
    name.upper()
    for name, field in Settings.model_fields.items()
    if field.json_schema_extra["group"] == Group.COMMANDS.name  # type: ignore[index,call-overload]
}
OURS = {"HOST", "PORT", "REDIS_URL", "DATABASE_URL", "FORWARDED_ALLOW_IPS", "WORKER_METRICS_PORT"} | COMMANDS
"""Settings that the compose files decide themselves: who listens where, and where the others are, passwords included,
which containers read from files. `PORT` of the operator's is the published one. Commands are no containers."""
SOURCES = [path for folder in ("gateway", "workers", "shared") for path in sorted((ROOT / folder).rglob("*.py"))]


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
    assert len(taken) == 7
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
    """operate.md describes every service."""
    page = PAGES[0].read_text()
    assert {"redis", "postgres", "gateway", "balancer", "credentials", "tools", "simulator"} <= SERVICES
    assert [name for name in sorted(SERVICES) if f"`{name}`" not in page and name != "simulator"] == []


def test_every_log_line_that_is_quoted_is_one_of_ours() -> None:
    """A line that when-something-fails.md quotes is said somewhere in the sources."""
    said, forms = set[str](), set[str]()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                forms.update(_form(node))
    page = PAGES[1].read_text()
    spoken = re.findall(r"`([a-z_]+:? [a-z]+[a-z ,:]*)`", page)
    quoted = {text for text in spoken if not text.startswith(("docker ", "make ", "sh ", "config "))}
    assert quoted >= {
        "redis lost: reconnecting until it is back",
        "recorder: database lost",
        "client too slow",
        "proxy known",
    }
    patterns = [re.compile(form) for form in forms]
    unsaid = sorted(quoted - said)
    assert [text for text in unsaid if not any(pattern.fullmatch(text) for pattern in patterns)] == []


def test_every_variable_that_is_named_exists() -> None:
    """In both pages a name in capitals is a setting, or a variable of the compose files or of Compose."""
    known = {name.upper() for name in Settings.model_fields} | {"COMPOSE_FILE", "OUTER_REDIS_URL", "OUTER_DATABASE_URL"}
    known |= {name for text in COMPOSE.values() for name in re.findall(r"\b[A-Z][A-Z_]+\b", text)}
    named = {name for page in PAGES[:2] for name in re.findall(r"`([A-Z]+_[A-Z_]+)[`=]", page.read_text())}
    assert named - known == set()


def test_every_volume_and_network_that_is_named_exists() -> None:
    """`coinwire_…` and `…-credentials` are what Compose makes of the names in docker-compose.yml."""
    made = set(re.findall(r"^  ([a-z-]+):", COMPOSE["docker-compose.yml"].partition("\nnetworks:")[2], re.MULTILINE))
    text = "".join(page.read_text() for page in PAGES[:2])
    named = set(re.findall(r"\bcoinwire_([a-z-]+)\b(?![_{])", text)) | set(re.findall(r"`([a-z]+-credentials)`", text))
    named = {name for name in named if name not in ("gateway", "worker", "bus") or f"network coinwire_{name}" in text}
    assert named >= {"bus", "postgres-data", "tools-credentials"}
    assert named - made == set()


def _form(node: ast.JoinedStr) -> list[str]:
    """The pattern of an f-string: any word may stand where a value does. None at all if it says nothing of its own."""
    texts = [str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values]
    if not re.search("[a-z]{4}", "".join(texts)):
        return []
    return ["".join(re.escape(text) if text else r"\S+" for text in texts)]
