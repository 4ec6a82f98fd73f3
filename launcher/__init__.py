"""The whole cluster on this machine: an embedded Redis, workers, gateways, and for a demo the simulator."""
