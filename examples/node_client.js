// A client that stays connected: prints updates, reconnects with backoff, and misses nothing while the history lasts.
//
//   node examples/node_client.js ws://127.0.0.1:7860/ws/market_data
//   node examples/node_client.js ws://127.0.0.1:7860/ws --subscribe market_data,news --updates 10
//
// Node 22 has WebSocket built in; for older versions: npm install ws.
'use strict';

const Socket = globalThis.WebSocket ?? require('ws');

const FIRST_PAUSE = 1000, LONGEST_PAUSE = 30000; // ms before the next attempt; doubles, with jitter

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
        this.socket.onerror = () => {}; // onclose follows and reports it
        this.socket.onclose = (event) => {
            if (this.left === 0) return;
            const pause = this.pause * (0.5 + Math.random() / 2);
            console.log(`disconnected (${event.code}): again in ${Math.round(pause)} ms`);
            this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
            setTimeout(() => this.connect(), pause);
        };
    }

    // Subscribe: to services seen before from their last position on, to others from now on.
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
        } else if (type === 'update' && !this.recovering.has(service)) { // before the confirmation; the replay sends it again
            this.update(service, data, meta);
        }
    }

    // Handle one update; each comes once and in order. Your own code goes here.
    update(service, data, { epoch, seq }) {
        const known = this.positions.get(service);
        if (this.left === 0 || (known && known.epoch === epoch && seq <= known.seq)) return;
        this.positions.set(service, { epoch, seq });
        const { timestamp, ...figures } = data;
        const first = Object.entries(data.prices ?? figures).slice(0, 3);
        console.log(`update ${service} #${seq}: ${first.map(([name, value]) => `${name} ${shortened(value)}`).join(', ')}`);
        if (this.left !== undefined && --this.left === 0) this.socket.close();
    }
}

// A value in a few characters: a number, the beginning of a text, or the length of a list or map.
function shortened(value) {
    if (value !== null && typeof value === 'object') return `(${Object.keys(value).length})`;
    return typeof value === 'number' ? value.toLocaleString('en') : String(value).slice(0, 24);
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
