"""explorers: the state of Bitcoin and Ethereum."""
