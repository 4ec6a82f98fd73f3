"""Refreshes `gateway/docs/swagger_ui` from npm: `make swagger-ui`, or `make swagger-ui VERSION=5.35.0`.

Takes the files that `/docs` serves and their licences out of the package `swagger-ui-dist`, unchanged, and writes the
package's version (`VERSION`) and their checksums (`SHA256SUMS`, as `sha256sum --check` reads them) beside them.
npm verifies the package against the registry's checksum. The package is not installed, only unpacked: its dependency
reports installations to a company.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "gateway" / "docs" / "swagger_ui"
PACKAGE = "swagger-ui-dist"
SERVED = ("swagger-ui-bundle.js", "swagger-ui.css")
LICENCES = ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt")


def refresh(package: str) -> str:
    """Replace the folder's content by that of `package`, as npm names it. Returns its version.

    Raises CalledProcessError where npm finds no such package, KeyError where the package lacks a file.
    """
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--json", "--pack-destination", place, package]
        packed: Any = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        (found,) = packed
        files = _unpack(Path(place) / found["filename"])
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    (FOLDER / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    (FOLDER / "VERSION").write_text(f"{found['version']}\n")
    return str(found["version"])


def _unpack(archive: Path) -> dict[str, bytes]:
    files = {}
    with tarfile.open(archive) as content:
        for name in (*SERVED, *LICENCES):
            member = content.extractfile(f"package/{name}")
            if member is None:
                raise KeyError(f"{name} is not a file of {archive.name}")
            files[name] = member.read()
    return files


def main() -> None:
    """Refresh, and print the version."""
    parser = argparse.ArgumentParser(description="refresh gateway/docs/swagger_ui from npm")
    parser.add_argument("package", nargs="?", default=f"{PACKAGE}@latest", help="default: %(default)s")
    print(f"Swagger UI {refresh(parser.parse_args().package)}")


if __name__ == "__main__":
    main()
