// Says what is wrong with an AsyncAPI document, in the eyes of AsyncAPI's own parser.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

// The parser is installed elsewhere, so that nothing is written into the sources.
const [, , installed, file] = process.argv;
const { Parser, DiagnosticSeverity } = createRequire(join(installed, "package.json"))("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
const faults = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
for (const { code, message, path } of faults) {
  console.error(`${path.join("/")}: ${message} (${code})`);
}
if (faults.length > 0 || !document) {
  process.exit(1);
}
console.log(document.allMessages().all().map((message) => message.id()).join(" "));
