"""What a gateway serves, in a terminal: asked over HTTP, followed over a WebSocket, shown as tables and plots."""
