"""The address of `backup` for tools outside of this repository; the command is in `commands.backup`."""

from commands.backup import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
