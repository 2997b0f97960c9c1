// Queries: page by page, behind one's own commands, and not sent again when known.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Firefly } from "../dist/index.js";
import { FakeFirefly, problem } from "./server.js";

let fake;
let firefly;

beforeEach(async () => {
  fake = await FakeFirefly.start();
  firefly = new Firefly({ url: fake.url, client: "test" });
});

afterEach(() => fake.stop());

const decision = { status: 202, body: { project: { key: "local/a/b" }, position: 7, revision: 0 } };

test("a list is read page by page, and no page before it is wanted", async () => {
  const pages = { undefined: { projects: [1, 2], next: "x" }, x: { projects: [3], next: "y" }, y: { projects: [], next: null } };
  fake.answer = ({ query }) => ({ body: pages[query.cursor] });
  const projects = firefly.projects({ state: ["ready", "failed"], limit: 2 });
  assert.deepEqual(await projects.all(), [1, 2, 3]);
  assert.deepEqual(fake.requests[0].query, { state: "ready,failed", limit: "2" });
  const begun = fake.requests.length;
  for await (const project of projects) {
    assert.equal(project, 1);
    break;
  }
  assert.equal(fake.requests.length, begun + 1);
});

test("history goes on behind the last event, or before it if the newest come first", async () => {
  fake.answer = ({ query }) => ({ body: { events: [], next: query.after || query.before ? null : 9 } });
  await firefly.history({ type: ["ProjectOpened"] }).all();
  await firefly.history({ order: "newest" }).all();
  const queries = fake.requests.map(({ query }) => query);
  assert.deepEqual(queries[1], { type: "ProjectOpened", after: "9" });
  assert.deepEqual(queries[3], { order: "newest", before: "9" });
});

test("a query sees the commands of its client", async () => {
  fake.answer = ({ method }) => (method === "POST" ? decision : { body: { key: "local/a/b" } });
  await firefly.project("local/a/b");
  await firefly.close("local/a/b");
  await firefly.project("local/a/b");
  const positions = fake.requests.map(({ headers }) => headers["firefly-min-position"]);
  assert.deepEqual(positions, [undefined, undefined, "7"]);
  assert.equal(fake.requests[2].headers.prefer, "wait=5");
  await firefly.project("local/a/b", { minPosition: 9 });
  assert.equal(fake.requests[3].headers["firefly-min-position"], "9");
});

test("a log that begins anew has no use for old positions", async () => {
  fake.answer = ({ method, headers }) => {
    if (method === "POST") {
      return decision;
    }
    return headers["firefly-min-position"] ? problem(400, "position-unknown") : { body: { projects: [], next: null } };
  };
  await firefly.close("local/a/b");
  assert.deepEqual(await firefly.projects().all(), []);
});

test("what is known is not sent again, and whoever gets it may change it", async () => {
  fake.answer = ({ headers }) =>
    headers["if-none-match"] === '"rev-3"'
      ? { status: 304, headers: { etag: '"rev-3"' } }
      : { headers: { etag: '"rev-3"' }, body: { state: "ready" } };
  const first = await firefly.project("local/a/b");
  first.state = "spoilt";
  assert.deepEqual(await firefly.project("local/a/b"), { state: "ready" });
  assert.deepEqual(await firefly.project("local/a/b"), { state: "ready" });
  assert.equal(fake.requests[2].headers["if-none-match"], '"rev-3"');
});

test("what is forgotten while it is asked about is there all the same", async () => {
  fake.answer = ({ headers }) => ({ headers: { etag: '"rev-3"' }, body: { state: "ready" }, ...unchanged(headers) });
  const unchanged = (headers) => (headers["if-none-match"] ? { status: 304, body: undefined } : {});
  await firefly.project("local/a/b");
  let asked;
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  const meanwhile = new Promise((resolve) => (asked = resolve));
  const { answer: promptly } = fake;
  fake.answer = async (request) => {
    if (request.path === "projects/local/a/b") {
      asked();
      await held;
    }
    return promptly(request);
  };
  const project = firefly.project("local/a/b");
  await meanwhile;
  for (let other = 0; other < 200; other += 1) {
    await firefly.project(`local/other/${other}`);
  }
  answer();
  assert.deepEqual(await project, { state: "ready" });
  assert.equal(fake.requests[1].headers["if-none-match"], '"rev-3"');
});

test("the past is asked for as it is named", async () => {
  fake.answer = () => ({ body: { projects: [] } });
  await firefly.project("local/a/b", { at: "rev-2" });
  await firefly.projectsAt(7);
  await firefly.compare("local/a/b", 3, "2026-11-24T10:00:00+01:00");
  const asked = fake.requests.map(({ path, query }) => [path, query]);
  assert.deepEqual(asked, [
    ["projects/local/a/b", { at: "rev-2" }],
    ["projects", { at: "7" }],
    ["projects/local/a/b/history/diff", { from: "3", to: "2026-11-24T10:00:00+01:00" }],
  ]);
});
