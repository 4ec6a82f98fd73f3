"""What holds for every document: the index names it, decision records have one form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.places import ROOT

DOCS = ROOT / "docs"
INDEX = (DOCS / "README.md").read_text()
RECORDS = sorted((DOCS / "adr").glob("*.md"))
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
