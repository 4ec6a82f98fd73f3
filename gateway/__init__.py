"""Gateways: WebSockets in front, the bus behind. Stateless, any number of replicas."""
