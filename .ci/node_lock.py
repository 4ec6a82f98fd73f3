"""Writes package-lock.json of each folder in FOLDERS from its package.json: `make node-lock`.

As the Python locks, it has names, versions and checksums only. Where packages come from is the installing machine's own
business, and npm copies addresses of sponsors and of notices from the packages: they are left out.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tests/node", "benchmarks/programs")
LEFT_OUT = ("resolved", "funding", "deprecated")


def main() -> None:
    """Write both."""
    for folder in FOLDERS:
        write(ROOT / folder)


def write(folder: Path) -> None:
    """Let npm resolve, then leave out what names a host."""
    command = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True)
    path = folder / "package-lock.json"
    lock: dict[str, Any] = json.loads(path.read_text())
    for package in lock["packages"].values():
        for name in LEFT_OUT:
            package.pop(name, None)
    path.write_text(json.dumps(lock, indent=2) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(lock['packages']) - 1} packages")


if __name__ == "__main__":
    main()
