// A client that stays connected: prints updates, reconnects with backoff, and misses nothing while the history lasts.
//
//   node examples/node_client.js ws://127.0.0.1:7860/ws/market_data
//   node examples/node_client.js ws://127.0.0.1:7860/ws --subscribe market_data,news --updates 10
//
// Node 22 has a WebSocket of its own; before that, `npm install ws`.
'use strict';

const Socket = globalThis.WebSocket ?? require('ws');

const FIRST_PAUSE = 1000, LONGEST_PAUSE = 30000; // ms before a new attempt; doubles, with jitter

class Client {
    constructor(url, services, updates) {
        this.url = url + (url.includes('?') ? '&' : '?') + 'meta=1'; // updates then carry their position
        this.services = services;
        this.left = updates;
        this.positions = new Map(); // service: {epoch, seq} of the last update seen
        this.recovering = new Set();
        this.pause = FIRST_PAUSE;
    }

    connect() {
        this.socket = new Socket(this.url);
        this.socket.onopen = () => this.greet();
        this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
        this.socket.onerror = () => {}; // onclose follows, and tells
        this.socket.onclose = (event) => {
            if (this.left === 0) return;
            const pause = this.pause * (0.5 + Math.random() / 2);
            console.log(`disconnected (${event.code}): again in ${Math.round(pause)} ms`);
            this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
            setTimeout(() => this.connect(), pause);
        };
    }

    // Subscribe: from now on where nothing was seen yet, else from where we were.
    greet() {
        this.pause = FIRST_PAUSE;
        this.recovering = new Set(this.positions.keys());
        for (const [service, since] of this.positions) {
            this.send({ action: 'subscribe', service, since, id: service });
        }
        const fresh = this.services.filter((service) => !this.positions.has(service));
        if (fresh.length) this.send({ action: 'subscribe', service: fresh });
    }

    send(command) {
        this.socket.send(JSON.stringify(command));
    }

    take({ service, type, data, meta }) {
        if (type === 'connection_established') {
            console.log(`connected as ${data.client_id}`);
        } else if (type === 'error') {
            console.log(`error: ${data.message}`);
        } else if (type === 'subscription_confirmed' && this.recovering.delete(data.id)) {
            if (!data.recovered) console.log(`${data.id}: some updates are lost`);
        } else if (type === 'update' && !this.recovering.has(service)) { // until confirmed: the replay brings it again
            this.update(service, data, meta);
        }
    }

    // One update, in order and once each. This is where your own code goes.
    update(service, data, { epoch, seq }) {
        const known = this.positions.get(service);
        if (this.left === 0 || (known && known.epoch === epoch && seq <= known.seq)) return;
        this.positions.set(service, { epoch, seq });
        const first = Object.entries(data.prices ?? data).slice(0, 3).map((pair) => pair.join(' ')).join(', ');
        console.log(`update ${service} #${seq}: ${first}`);
        if (this.left !== undefined && --this.left === 0) this.socket.close();
    }
}

function option(name) {
    const at = process.argv.indexOf(name);
    return at < 0 ? undefined : process.argv[at + 1];
}

const given = process.argv[2];
const url = given && !given.startsWith('--') ? given : 'ws://127.0.0.1:7860/ws/market_data';
const services = (option('--subscribe') ?? '').split(',').filter(Boolean);
const updates = option('--updates');
new Client(url, services, updates === undefined ? undefined : Number(updates)).connect();
