"""From the bus to every subscribed session: relay, hub, the newest updates, and an outbox per client."""
