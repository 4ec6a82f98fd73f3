// `ws` with ioredis: the broadcast example of ws, fed by a Redis subscription. It relays Buffers, which spares ws a
// conversion per client. Compression is off, as by default.
const { WebSocketServer, WebSocket } = require('ws');
const Redis = require('ioredis');
const { PORT, REDIS_URL, CHANNEL } = process.env;

const server = new WebSocketServer({ port: +PORT, host: '127.0.0.1', backlog: 4096 });
server.on('connection', (client) => client.on('error', console.error));

const subscription = new Redis(REDIS_URL);
subscription.subscribe(CHANNEL);
subscription.on('messageBuffer', (_channel, message) => {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message, { binary: false });
  }
});
