"""All attacks, in the order in which they run."""

from __future__ import annotations

from benchmarks.attacks import commands, compressed, floods, handshakes, hoarders, pages, replays
from benchmarks.attacks.crowd import Attack

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for room in (floods, commands, hoarders, replays, handshakes, pages, compressed)
    for attack in room.ATTACKS
}
