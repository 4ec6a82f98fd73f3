"""`python -m benchmarks.attacks.attacker NAME TARGET`: one crowd. The meter starts it, with a low priority.

Attackers usually are on other machines: here they must not take the processor from whom they attack.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys

import typer

from benchmarks.attacks.catalogue import ATTACKS
from benchmarks.attacks.crowd import Crowd, Target

_NICE = 15


async def attack(name: str, target: Target) -> None:
    """Attack, print `attacked` when done, then a line with what happened to the connections."""
    crowd = Crowd(target)
    await ATTACKS[name].run(crowd)
    typer.echo("attacked")
    typer.echo(json.dumps({"fates": await crowd.fates(), "tally": crowd.tally}))


def main() -> None:
    """Read the arguments, and attack."""
    os.nice(_NICE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(attack(sys.argv[1], Target(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
