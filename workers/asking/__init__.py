"""Calls to upstreams: the provider port, calls within a budget, pools of sources, parts of a service's figures."""
