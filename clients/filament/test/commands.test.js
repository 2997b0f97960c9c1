// Commands: one key for each call, tries within bounds, refusals as types.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Firefly, FireflyProblem, FireflyUnreachable } from "../dist/index.js";
import { FakeFirefly, problem } from "./server.js";

let fake;
let firefly;

beforeEach(async () => {
  fake = await FakeFirefly.start();
  firefly = new Firefly({ url: fake.url, client: "test" });
});

afterEach(() => fake.stop());

const decision = { status: 202, body: { project: { key: "local/a/b" }, position: 7, revision: 0 } };

const keys = () => fake.requests.map(({ headers }) => headers["idempotency-key"]);

test("a command is signed in, has a body, and answers what was decided", async () => {
  fake.answer = () => decision;
  const answer = await firefly.open("template:starter", { branch: "main" });
  assert.equal(answer.position, 7);
  const [{ method, path, headers, body }] = fake.requests;
  assert.deepEqual([method, path, body], ["POST", "projects/open", { source: "template:starter", branch: "main" }]);
  assert.equal(headers.authorization, "Bearer token-1");
});

test("the paths are those of the project, and so is the revision", async () => {
  fake.answer = () => decision;
  await firefly.close("local/a/b", { ifRevision: 3 });
  await firefly.restart("local/a/b");
  await firefly.delete("local/a/b", { force: true });
  await firefly.openProject("local/a/b");
  const paths = fake.requests.map(({ path }) => path);
  assert.deepEqual(paths, ["close", "restart", "delete", "open"].map((name) => `projects/local/a/b/${name}`));
  assert.equal(fake.requests[0].headers["if-match"], '"rev-3"');
  assert.deepEqual(fake.requests[2].body, { force: true });
});

test("a command keeps its key over all tries, and each call has another", async () => {
  const script = [problem(503, "contended", { "retry-after": "0" }), undefined, decision, decision];
  fake.answer = (_, count) => script[count - 1];
  await firefly.close("local/a/b");
  await firefly.close("local/a/b");
  const [first, second, third, other] = keys();
  assert.equal(first, second);
  assert.equal(first, third);
  assert.notEqual(first, other);
});

test("a key that is given is the one that is sent", async () => {
  fake.answer = () => decision;
  await firefly.close("local/a/b", { idempotencyKey: "mine" });
  assert.deepEqual(keys(), ["mine"]);
});

test("Firefly says how long to wait", async () => {
  fake.answer = (_, count) => (count === 1 ? problem(503, "contended", { "retry-after": "1" }) : decision);
  await firefly.close("local/a/b");
  const [first, second] = fake.requests;
  assert.ok(second.at - first.at >= 990, `${second.at - first.at} ms`);
});

test("what would be waited for too long is left to the caller", async () => {
  fake.answer = () => problem(503, "contended", { "retry-after": "3600" });
  const refused = await firefly.close("local/a/b").catch((error) => error);
  assert.equal(refused.retryAfterMs, 3_600_000);
  assert.equal(fake.requests.length, 1);
});

test("tries end", async () => {
  fake.answer = () => problem(503, "log-unavailable");
  await assert.rejects(firefly.close("local/a/b"), { name: "FireflyProblem", code: "log-unavailable", status: 503 });
  assert.equal(fake.requests.length, 5);
});

test("a Firefly that does not answer is told from one that refuses", async () => {
  fake.answer = () => undefined;
  await assert.rejects(firefly.close("local/a/b"), FireflyUnreachable);
  assert.equal(fake.requests.length, 5);
});

test("what a rule forbids is not tried again", async () => {
  fake.answer = () => problem(409, "unsaved-work");
  const refused = await firefly.delete("local/a/b").catch((error) => error);
  assert.ok(refused instanceof FireflyProblem);
  assert.deepEqual([refused.status, refused.code, refused.message], [409, "unsaved-work", "told: unsaved-work"]);
  assert.equal(fake.requests.length, 1);
});

test("the same key in flight is waited for", async () => {
  fake.answer = (_, count) => (count === 1 ? problem(409, "idempotency-key-in-flight") : decision);
  assert.equal((await firefly.close("local/a/b")).position, 7);
});

test("a token that is refused is replaced once", async () => {
  fake.answer = ({ headers }) => (headers.authorization === "Bearer token-1" ? problem(401, "session-over") : decision);
  await firefly.close("local/a/b");
  assert.equal(fake.signIns, 2);
  assert.equal(keys()[0], keys()[1]);
  fake.answer = () => problem(401, "session-over");
  await assert.rejects(firefly.close("local/a/b"), { code: "session-over" });
});

test("many calls make one sign-in", async () => {
  fake.answer = () => decision;
  await Promise.all([1, 2, 3].map(() => firefly.close("local/a/b")));
  assert.equal(fake.signIns, 1);
});

test("a token that is given is used, and not replaced", async () => {
  fake.answer = () => problem(401, "token-expired");
  const other = new Firefly({ url: fake.url, client: "test", token: "given" });
  await assert.rejects(other.close("local/a/b"), { code: "token-expired" });
  assert.equal(fake.signIns, 0);
  assert.equal(fake.requests[0].headers.authorization, "Bearer given");
});

test("whoever has signed out signs in anew", async () => {
  fake.answer = () => ({ status: 200, body: { session: "s", position: 3 } });
  await firefly.token();
  await firefly.signOut();
  assert.equal(fake.requests[0].headers.authorization, "Bearer token-1");
  await firefly.token();
  assert.equal(fake.signIns, 2);
});

test("whoever has no token signs out without asking anything", async () => {
  await firefly.signOut();
  assert.deepEqual([fake.signIns, fake.requests.length], [0, 0]);
});

test("a session that is over already is not begun anew to be ended", async () => {
  fake.answer = () => problem(401, "session-over");
  await firefly.token();
  await firefly.signOut();
  assert.deepEqual([fake.signIns, fake.requests.length], [1, 1]);
  await firefly.token();
  assert.equal(fake.signIns, 2);
});

test("waiting can be given up", async () => {
  const given = new AbortController();
  fake.answer = () => {
    given.abort(new Error("enough"));
    return problem(503, "contended", { "retry-after": "20" });
  };
  await assert.rejects(firefly.close("local/a/b", { signal: given.signal }), /enough/);
  assert.equal(fake.requests.length, 1);
});
