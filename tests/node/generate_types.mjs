// Writes TypeScript types of openapi.json and asyncapi.json beside them: node generate_types.mjs FOLDER
// AsyncAPI's schemas are JSON schemas at the same addresses as OpenAPI's, so one generator does for both documents.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { astToString } from "openapi-typescript";

const folder = process.argv[2];
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));

async function write(name, document) {
  writeFileSync(join(folder, `${name}.d.ts`), astToString(await openapiTS(document)));
}

const asyncapi = read("asyncapi.json");
const payloads = Object.values(asyncapi.components.messages).map(({ payload }) => [payload.title, payload]);
await write("openapi", read("openapi.json"));
await write("asyncapi", {
  openapi: "3.1.0",
  info: asyncapi.info,
  paths: {},
  components: { schemas: { ...asyncapi.components.schemas, ...Object.fromEntries(payloads) } },
});
