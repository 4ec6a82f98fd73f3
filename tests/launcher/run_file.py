"""`python -m tests.launcher.run_file FILE ARGUMENTS`: runs a file with the checkout importable."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
