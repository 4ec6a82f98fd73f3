"""`python -m tests.project.shell COMMAND`: becomes a shell that runs one command of a document."""

import os
import sys

if __name__ == "__main__":
    os.execv("/bin/sh", ["sh", "-c", f"exec {sys.argv[1]}"])  # noqa: S606
