"""The address of `coinwire export` for tools outside of this repository: `python -m launcher.export`."""

import sys

from commands.__main__ import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
