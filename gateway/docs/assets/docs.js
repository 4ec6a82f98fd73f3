"use strict";

const SHOWN = 200; // messages kept: more would slow the page down within minutes on /ws/all
const LONG = 20000; // characters of one message shown: market_data of 250 coins has more

const origin = location.origin.replace(/^http/, "ws");
for (const place of document.querySelectorAll("[data-origin]")) place.textContent = origin;

// A link to a folded message or service unfolds it.
function unfoldTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", unfoldTarget);
unfoldTarget();

const at = (name) => document.getElementById(`try-${name}`);
const log = at("log");
let socket = null;
let received = 0;

function show(direction, title, text) {
  log.querySelector(".empty")?.remove();
  const entry = document.createElement("details");
  const summary = document.createElement("summary");
  const time = document.createElement("time");
  const name = document.createElement("b");
  const start = document.createElement("span");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  name.textContent = `${direction} ${title}`;
  start.textContent = text.slice(0, 200);
  summary.append(time, name, start);
  entry.append(summary);
  // The text is laid out only when a message is opened: most are never opened.
  entry.addEventListener("toggle", () => {
    if (!entry.open || entry.querySelector("pre")) return;
    const whole = document.createElement("pre");
    const pretty = readable(text);
    whole.textContent = pretty.length > LONG ? `${pretty.slice(0, LONG)}\n…` : pretty;
    entry.append(whole);
  });
  log.prepend(entry);
  while (log.childElementCount > SHOWN) log.lastElementChild.remove();
}

function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // not JSON: send it as typed, and the server replies with an error
  }
}

function state(text, connected) {
  at("state").textContent = text;
  at("send").disabled = !connected;
  at("connect").textContent = socket ? "Disconnect" : "Connect";
}

function connect() {
  const query = [at("query").value.trim().replace(/^\?/, ""), at("meta").checked ? "meta=1" : ""].filter(Boolean).join("&");
  const path = at("path").value + (query ? `?${query}` : "");
  const opened = (socket = new WebSocket(origin + path));
  state(`Connecting to ${path} …`, false);
  opened.onopen = () => {
    if (opened === socket) state(`Connected to ${path}`, true);
  };
  opened.onmessage = (event) => {
    if (opened !== socket) return;
    received += 1;
    at("count").textContent = `${received} received`;
    const message = JSON.parse(event.data);
    const title = message.type === "update" ? message.service : message.type;
    show("←", title, JSON.stringify(message.data));
  };
  opened.onclose = (event) => {
    if (opened !== socket) return;
    socket = null;
    state(`Closed: ${event.code}${event.reason ? `, ${event.reason}` : ""}`, false);
  };
}

at("connect").addEventListener("click", () => {
  if (socket) {
    const closing = socket;
    socket = null;
    closing.close(1000);
    state("Not connected", false);
  } else {
    connect();
  }
});

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN) return;
  const text = at("command").value;
  socket.send(text);
  show("→", "sent", text);
});

at("clear").addEventListener("click", () => {
  log.replaceChildren();
  received = 0;
  at("count").textContent = "";
});
