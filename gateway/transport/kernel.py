"""What the kernel knows of a connection and asyncio does not tell."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios


def unacknowledged(transport: asyncio.Transport, connected: socket.socket) -> int:
    """Bytes that were written to `transport` or its socket, and that the peer has not acknowledged."""
    waiting = transport.get_write_buffer_size()
    try:
        in_kernel = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # not Linux
        return waiting
    return waiting + int.from_bytes(in_kernel, sys.byteorder)
