"use strict";

// Swagger UI 4, which the package carries, knows OpenAPI 3.0 only. The document keeps to what 3.0 and 3.1 have in
// common (a test says so), so that saying 3.0 here is enough.
function withExample(_key, value) {
  if (Array.isArray(value?.examples)) value.example = value.examples[0]; // as 3.0 calls it
  return value;
}

addEventListener("DOMContentLoaded", async () => {
  const viewer = document.getElementById("viewer");
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`openapi.json: HTTP ${answer.status}`);
    const spec = JSON.parse(await answer.text(), withExample);
    // The page documents WebSocket paths above; here they would only be a wall of 426s.
    const pages = Object.entries(spec.paths).filter(([, path]) => !path["x-websocket"]);
    const used = new Set(pages.flatMap(([, path]) => path.get.tags));
    SwaggerUIBundle({
      domNode: viewer,
      spec: {
        ...spec,
        openapi: "3.0.3",
        paths: Object.fromEntries(pages),
        tags: spec.tags.filter((tag) => used.has(tag.name)),
      },
      validatorUrl: null, // it would send the document to another host
      docExpansion: "list",
      defaultModelsExpandDepth: -1,
      defaultModelExpandDepth: 4,
      supportedSubmitMethods: ["get"],
    });
  } catch (error) {
    viewer.textContent = `The viewer could not be shown (${error.message}). The same is in openapi.json.`;
  }
});
