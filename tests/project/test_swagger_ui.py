"""Swagger UI's files in gateway/docs/swagger_ui: unchanged, and refreshed by one command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

FOLDER = ROOT / "gateway" / "docs" / "swagger_ui"
FILES = ("LICENSE", "NOTICE", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css")


def sums(folder: Path) -> dict[str, str]:
    """File to SHA-256, as SHA256SUMS has them."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def checked(folder: Path) -> dict[str, str]:
    """File to SHA-256, as the files are."""
    own = {"SHA256SUMS", "VERSION"}
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name not in own
    }


def test_every_file_is_as_npm_has_it() -> None:
    """Each file has the checksum that SHA256SUMS names, and there is no other file."""
    assert checked(FOLDER) == sums(FOLDER)
    assert set(sums(FOLDER)) == set(FILES)


def test_the_version_is_that_of_the_files() -> None:
    """VERSION equals the version in the bundle."""
    version = (FOLDER / "VERSION").read_text().strip()
    assert re.fullmatch(r"5\.\d+\.\d+", version)
    assert f'PACKAGE_VERSION:"{version}"' in (FOLDER / "swagger-ui-bundle.js").read_text()


@pytest.mark.skipif("CI" not in os.environ and shutil.which("npm") is None, reason="needs npm")
def test_a_refresh_takes_what_the_package_has(tmp_path: Path) -> None:
    """The command replaces the files by those of the package, and writes its version and their checksums."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"name": "swagger-ui-dist", "version": "5.99.1"}))
    for name in (*FILES, "swagger-ui.js"):
        (package / name).write_text(f"{name} of 5.99.1\r\n")
    (tmp_path / ".ci").mkdir()
    script = shutil.copy(ROOT / ".ci" / "swagger_ui.py", tmp_path / ".ci")
    folder = tmp_path / "gateway" / "docs" / "swagger_ui"
    shutil.copytree(FOLDER, folder)
    (folder / "no longer there").touch()
    subprocess.run([sys.executable, script, str(package)], check=True, capture_output=True, timeout=60)
    assert checked(folder) == sums(folder)
    assert set(sums(folder)) == set(FILES)
    assert (folder / "VERSION").read_text() == "5.99.1\n"
    assert (folder / "NOTICE").read_bytes() == b"NOTICE of 5.99.1\r\n"
