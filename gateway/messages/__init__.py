"""Every message, said once: the types that are sent and read, with their names, descriptions, replies and examples.

The gateway sends these types, `gateway.docs` renders them, and tests compare both with docs/reference/protocol.md.
"""
