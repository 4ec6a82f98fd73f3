"""Simulated upstreams for demo and tests: the providers' own formats, moving figures, and faults on request."""
