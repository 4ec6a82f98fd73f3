"""The HTTP API: statistics, catalogue, health, metrics, and the newest update of a service."""
