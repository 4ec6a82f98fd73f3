"""The address of `restore` for tools outside of this repository; the command is in `commands.restore`."""

from commands.restore import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
