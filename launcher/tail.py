"""The address of `coinwire tail` for tools outside of this repository: `python -m launcher.tail`."""

import sys

from commands.__main__ import main
from commands.tail import line_of, tail

__all__ = ["line_of", "tail"]

if __name__ == "__main__":
    main(["tail", *sys.argv[1:]])
