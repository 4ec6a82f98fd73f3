"""How bytes reach the socket: uvicorn's HTTP and WebSocket protocols, extended, and the client's real address."""
