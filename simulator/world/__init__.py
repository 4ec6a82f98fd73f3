"""The simulated world: market, chains, news and crowd, each a pure function of seed and time."""
