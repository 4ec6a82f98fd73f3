"""What holds for every document: the index names it, what it names exists, decision records have one form."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.places import ROOT

DOCS = ROOT / "docs"
INDEX = (DOCS / "README.md").read_text()
RECORDS = sorted((DOCS / "adr").glob("*.md"))
PAGES = sorted((*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "benchmarks" / "README.md", ROOT / ".env.example"))


def files() -> set[str]:
    """Every file and folder of the repository, but for what installations and caches make."""
    found = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith((".", "_")) and name != "node_modules"]
        found |= {os.path.relpath(os.path.join(folder, name), ROOT) for name in (*folders, *names)}
    return found | {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir()}


FILES = files()
READERS = {
    *("docker-compose.override.yml", "docker-compose.prometheus.yml", "prometheus.yml", "coinwire.rules.yml"),
    *("my_tool.py", "market_data.csv", "config.json", "tokenizer.json", "onnx/model.onnx", "model.onnx"),
    *("exports/", "backups/"),
}
"""Files and folders that readers make, as the pages tell them to."""
ELSEWHERE = re.compile(
    r"\b(?:CONTRACT|DESIGN|STYLE|PROVIDERS)\.md\b|\.\./shared\b|\bin the document's\b|\bas (?:in )?the document\b"
)
"""Notes beside the repository, and the first description of the API, which is one of them."""
MAY_NAME_THEM = {
    ".ci/run",  # starts the engine that is beside the repository
    "tests/places.py",  # where it is; tests skip without it
    *("tests/shared/test_catalog.py", "tests/system/document.py", "tests/system/test_document_clients.py"),
    "tests/project/test_documents.py",
}
PARTS = re.findall(r"^## (.+)$", (DOCS / "adr" / "0000-template.md").read_text(), re.MULTILINE)


def test_the_index_names_every_document() -> None:
    """docs/README.md links every page under docs/, and each page once."""
    linked = re.findall(r"\]\(((?!\.\.)[^)#]+\.md)\)", INDEX)
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path != DOCS / "README.md"]
    assert sorted(linked) == sorted(pages)


def test_the_index_names_each_decision_by_its_title() -> None:
    """The list of decisions has the records' own numbers and titles."""
    listed = re.findall(r"^(\d+\. )\[(.+)\]\(adr/", INDEX, re.MULTILINE)
    titles = [path.read_text().splitlines()[0].removeprefix("# ") for path in RECORDS[1:]]
    assert ["".join(entry) for entry in listed] == titles


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_follows_the_template(record: Path) -> None:
    """Its title has the number of its file, a status follows, and its parts are those of the template."""
    text = record.read_text()
    number = int(record.name[:4])
    assert re.match(rf"# {number}\. .+\n\nStatus: (proposed|accepted|superseded)\b.*\n\n## ", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    for part in PARTS:
        assert re.search(rf"^## {part}\n\n\S", text, re.MULTILINE), part


def test_decision_records_are_numbered_without_gaps() -> None:
    """From the template, which is 0, on."""
    assert [int(path.name[:4]) for path in RECORDS] == list(range(len(RECORDS)))
    assert PARTS == ["Context", "Decision", "Alternatives", "Consequences"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_wider_than_130_columns(page: Path) -> None:
    """A page fits a window of 130 columns, tables and code too."""
    assert [line for line in page.read_text().splitlines() if len(line) > 130] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(page: Path) -> None:
    """A file or folder in backticks is in the repository, under its path or its bare name, or is the reader's own."""
    text = page.read_text()
    names = {file.rpartition("/")[2] for file in FILES}
    files = (
        set(re.findall(r"`([\w.][\w./-]*\.(?:py|lua|json|sh|yml|html|js|cfg|conf|lock|md|csv|onnx))`", text)) - READERS
    )
    folders = set(re.findall(r"`((?:\w[\w.-]*/)+)`", text)) - READERS
    assert {file for file in files if file not in (FILES if "/" in file else names)} == set()
    assert {folder for folder in folders if folder.rstrip("/") not in FILES} == set()


def test_the_repository_stands_alone() -> None:
    """No file sends its reader to a document outside of the repository, but for tests that skip without it."""
    ours = {
        file
        for file in FILES - MAY_NAME_THEM
        if (ROOT / file).is_file() and not file.startswith(("tests/recorded/", "gateway/docs/swagger_ui/"))
    }
    texts = {file: (ROOT / file).read_bytes().decode(errors="replace") for file in ours}
    assert sorted(file for file, text in texts.items() if ELSEWHERE.search(text)) == []
