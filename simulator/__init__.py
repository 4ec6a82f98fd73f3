"""Upstreams that speak the providers' own formats, with figures that move and faults on request; for demo and tests."""
