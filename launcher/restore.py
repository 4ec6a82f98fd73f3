"""The address of `coinwire restore` for tools outside of this repository: `python -m launcher.restore`."""

import sys

from commands.__main__ import main

if __name__ == "__main__":
    main(["restore", *sys.argv[1:]])
