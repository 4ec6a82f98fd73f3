"""`coinwire …`, which is `python -m commands …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `coinwire` with `arguments`, by default those of this process. Always ends in SystemExit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Runs every few seconds in every container, so not even typer is imported.
    if words[:1] == ["probe"] and "--help" not in words:
        from commands.probe import main as probe

        sys.exit(probe(words[1:]))
    from commands.app import app

    app(args=words, prog_name="coinwire")


if __name__ == "__main__":
    main()
