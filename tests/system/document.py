"""Programs printed in the API document, read out of it; only their address is changed."""

from __future__ import annotations

import re

from tests.system.processes import SEED

_ADDRESS = "ws://localhost:7860"


def programs(language: str) -> list[str]:
    """The document's code blocks in one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL)


def program(language: str, holding: str, address: str) -> str:
    """The one block that holds a text, with `address` for the document's."""
    (found,) = (block for block in programs(language) if holding in block)
    assert _ADDRESS in found
    return found.replace(_ADDRESS, address)
