"""The model: the real bus, gateway and lease code, on a virtual clock, through faults that a seed chooses."""
