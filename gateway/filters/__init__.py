"""Filters: only what a client asked for of an update. Pure: read from a command or an address, applied to `data`.

What a service can be filtered by stands at its payload type (`shared.payloads`).
"""
