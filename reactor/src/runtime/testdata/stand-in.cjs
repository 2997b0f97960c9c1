#!/usr/bin/env node
// Stands in for a project-server in the tests of the runtimes: it obeys the handshake and does nothing else.
// The control key decides what it does wrong. CommonJS, since a program without a file ending cannot be a module.
const { createServer } = require("node:http");
const { readdirSync, rmSync } = require("node:fs");
const { createConnection } = require("node:net");
const { networkInterfaces } = require("node:os");
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
const listen = argument("--listen");
const socket = listen.startsWith("unix:") ? listen.slice("unix:".length) : undefined;
const [host, port] = listen.split(":");

/** Tells which networks there are, and what the way out says first. */
function lookAround(response) {
  const networks = Object.keys(networkInterfaces()).join();
  const wayOut = createConnection(argument("--egress-socket"));
  wayOut.once("data", (said) => response.end(`${networks} ${said}`));
  wayOut.once("error", (error) => response.end(`${networks} ${error}`));
}

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
  const server = createServer((_, response) => {
    if (key === "look around") lookAround(response);
    else response.end(key);
  });
  const listening = () => {
    const endpoint = socket ? listen : `${host}:${server.address().port}`;
    console.log(JSON.stringify({ endpoint }));
    if (key === "hoard") hoard();
  };
  if (socket) {
    rmSync(socket, { force: true });
    server.listen(socket, listening);
  } else {
    server.listen(Number(port), host, listening);
  }
});
input.once("close", () => {
  if (process.argv.includes("--exit-on-stdin-eof")) process.exit(0);
});
process.once("SIGTERM", () => process.exit(5));
