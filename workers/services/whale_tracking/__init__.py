"""whale_tracking: large transfers on Ethereum and Bitcoin, every block once."""
