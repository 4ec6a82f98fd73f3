// Socket.IO with @socket.io/redis-adapter, as the README of the adapter has it; WebSocket transport only. Messages are
// published in the adapter's own format, as @socket.io/redis-emitter does.
const { createServer } = require('http');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/redis-adapter');
const Redis = require('ioredis');
const { PORT, REDIS_URL } = process.env;

const publisher = new Redis(REDIS_URL);
const server = createServer();
new Server(server, { transports: ['websocket'], adapter: createAdapter(publisher, publisher.duplicate()) });
server.listen({ port: +PORT, host: '127.0.0.1', backlog: 4096 });
