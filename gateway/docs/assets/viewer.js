"use strict";

// Swagger UI switches to its dark theme by a class; the page follows the system's setting.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const rendered = () => new Promise((resolve) => setTimeout(resolve));

async function unfold(tag, operationId) {
  const id = `operations-${tag}-${operationId}`;
  if (!document.getElementById(id)) document.getElementById(`operations-tag-${tag}`).click(); // unfold its group
  await rendered();
  const operation = document.getElementById(id);
  const control = operation.querySelector(".opblock-summary-control");
  if (!operation.classList.contains("is-open")) control.click();
  await rendered();
  operation.scrollIntoView();
  control.focus({ preventScroll: true });
}

const SHOWN_MS = 6000; // of an event stream, which has no end: an update of market_data comes every 5 s

async function beginning(url, request) {
  const stop = new AbortController();
  const answer = await fetch(url, { ...request, signal: stop.signal });
  if (!(answer.headers.get("content-type") || "").startsWith("text/event-stream")) return answer;
  setTimeout(() => stop.abort(), SHOWN_MS);
  const [reader, decoder] = [answer.body.getReader(), new TextDecoder()];
  let text = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return new Response(text, { status: answer.status, headers: answer.headers });
}

addEventListener("DOMContentLoaded", async () => {
  const viewer = document.getElementById("viewer");
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`openapi.json: HTTP ${answer.status}`);
    const spec = await answer.json();
    // The page documents WebSocket paths above; over HTTP all of them answer 426.
    const pages = Object.entries(spec.paths).filter(([, path]) => !path["x-websocket"]);
    const used = new Set(pages.flatMap(([, path]) => path.get.tags));
    SwaggerUIBundle({
      domNode: viewer,
      spec: {
        ...spec,
        paths: Object.fromEntries(pages),
        tags: spec.tags.filter((tag) => used.has(tag.name)),
      },
      validatorUrl: null, // the default sends the document to another host
      docExpansion: "list",
      defaultModelsExpandDepth: -1,
      defaultModelExpandDepth: 4,
      supportedSubmitMethods: ["get"],
      requestInterceptor: (request) => Object.assign(request, { userFetch: beginning }),
    });
    for (const [name, { get }] of pages) {
      const { operationId, summary, tags } = get;
      operations.push({ kind: "HTTP", name, summary, text: "", open: () => unfold(tags[0], operationId) });
    }
  } catch (error) {
    viewer.textContent = `The viewer could not be shown (${error.message}). The same is in openapi.json.`;
  }
});
