"""The address of Lease for tools outside of this repository; the class is in `shared.bus.lease`."""

from shared.bus.lease import Lease

__all__ = ["Lease"]
