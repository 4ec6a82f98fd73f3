"""The attack meter: hostile clients on loopback, and what an innocent client beside them notices."""
