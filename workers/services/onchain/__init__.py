"""onchain: activity, fees and value locked per chain, and the events of well-known contracts."""
