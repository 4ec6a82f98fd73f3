"""The address of `coinwire backup` for tools outside of this repository: `python -m launcher.backup`."""

import sys

from commands.__main__ import main

if __name__ == "__main__":
    main(["backup", *sys.argv[1:]])
