"""The whole cluster on this one machine: an embedded Redis, workers, gateways, and the simulator where asked for."""
