"""The address of `tail` for tools outside of this repository; the command is in `commands.tail`."""

import typer

from commands.tail import line_of, tail

__all__ = ["line_of", "tail"]

if __name__ == "__main__":
    typer.run(tail)
