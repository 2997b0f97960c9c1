// Starts programs until no more can be started, and tells how many there were.
const { spawn } = require("node:child_process");

const most = Number(process.argv[1]);
const children = [];

function next() {
  if (children.length === most) return end("none");
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  child.once("error", (error) => end(error.code));
  child.once("spawn", () => {
    children.push(child);
    next();
  });
}

function end(refusal) {
  console.log(JSON.stringify({ refusal, started: children.length }));
  for (const child of children) child.kill("SIGKILL");
  process.exit(0);
}

next();
