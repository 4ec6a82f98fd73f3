"""The address of `export` for tools outside of this repository; the command is in `commands.export`."""

from commands.export import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
