#!/usr/bin/env node
// Stands in for a project-server in the tests of the runtimes: it obeys the handshake and does nothing else.
// The control key decides what it does wrong. CommonJS, since a program without a file ending cannot be a module.
const { createServer } = require("node:http");
const { readdirSync } = require("node:fs");
const { createInterface } = require("node:readline");

const [first, second, workspace] = process.argv.slice(2);
if (first === "tool" && second === "inspect") {
  const files = readdirSync(workspace).length;
  if (files > 8) {
    console.error("this is no repository");
    process.exit(4);
  }
  console.log(JSON.stringify({ files, commits: 0 }));
  process.exit(0);
}

const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
const [host, port] = argument("--listen").split(":");

function hoard() {
  const kept = [];
  setInterval(() => kept.push(Buffer.alloc(16 << 20, 1)), 1);
}

const input = createInterface({ input: process.stdin });
input.once("line", (line) => {
  const key = JSON.parse(line).control_key;
  if (key === "die") {
    console.error("the disk has run away");
    process.exitCode = 3;
    process.stdin.destroy();
    return;
  }
  if (key === "be silent") {
    console.error("thinking");
    setInterval(() => {}, 1_000);
    return;
  }
  const server = createServer((_, response) => response.end(key));
  server.listen(Number(port), host, () => {
    console.log(JSON.stringify({ port: server.address().port }));
    if (key === "hoard") hoard();
  });
});
input.once("close", () => {
  if (process.argv.includes("--exit-on-stdin-eof")) process.exit(0);
});
process.once("SIGTERM", () => process.exit(5));
