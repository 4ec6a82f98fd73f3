// Stands in for the browser's WebSocket: programs written for it find the `ws` package's class instead.
globalThis.WebSocket = require("ws");
