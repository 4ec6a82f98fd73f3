// Reads an AsyncAPI document on stdin and prints what @asyncapi/parser has to say of it, one finding per line.
"use strict";

const { text } = require("node:stream/consumers");
const { Parser } = require("@asyncapi/parser");

async function main() {
  const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
  for (const each of diagnostics) console.log(`${each.code}: ${each.message} (${each.path.join(".")})`);
  if (!document) process.exitCode = 1;
}

main();
