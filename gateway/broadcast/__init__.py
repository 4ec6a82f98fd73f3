"""From the bus to every subscribed session: relay, hub, the newest updates, their replays, an outbox per client."""
