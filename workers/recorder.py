"""The address of the recorder for tools outside of this repository; the code is in `workers.services.persistence`."""

from workers.services.persistence.recorder import GROUP, Recorder

__all__ = ["GROUP", "Recorder"]
