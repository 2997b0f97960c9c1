// Following: every change once and in order, whatever happens to the connection.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";

import { Firefly, FireflyProblem, FollowingEnded } from "../dist/index.js";
import { FakeFirefly, problem, until, WebSocket } from "./server.js";

let fake;
let firefly;

beforeEach(async () => {
  fake = await FakeFirefly.start();
  firefly = new Firefly({ url: fake.url, client: "test", WebSocket });
});

afterEach(() => fake.stop());

const snapshot = (position) => ({ type: "snapshot", position, projects: [], sessions: [] });
const change = (position) => ({ type: "change", position, event: { position } });
const changes = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => change(from + index));
const heartbeat = (position) => ({ type: "heartbeat", position });
const closing = (position, code) => ({ type: "closing", position, code, reason: `told: ${code}` });
const progress = { type: "progress", project: "local/a/b", generation: 1, step: "install", done: 1, total: null, text: "" };

/** The positions of messages up to one; the connection is cut behind those that are named. */
async function positions(following, last, cutBehind = []) {
  const seen = [];
  for await (const { type, position } of following) {
    seen.push(type === "snapshot" ? `snapshot ${position}` : position);
    if (cutBehind.includes(position)) {
      fake.cut();
    }
    if (position >= last) {
      break;
    }
  }
  return seen;
}

for (const transport of ["web-socket", "event-stream"]) {
  describe(transport, () => {
    const follow = (scope = {}, options = {}) => firefly.follow(scope, { transport, ...options });
    const afters = () => fake.followed.map(({ query }) => query.after);

    test("a snapshot comes first, then changes and progress", async () => {
      fake.follow = ({ send }) => send(snapshot(3), progress, heartbeat(5), change(6));
      const following = follow();
      const first = await following.next();
      const second = await following.next();
      const third = await following.next();
      assert.deepEqual([first.value, second.value, third.value], [snapshot(3), progress, change(6)]);
      assert.equal(following.position, 6);
      await following.return();
      await until("the connection to end", () => fake.open === 0);
      assert.deepEqual(await following.next(), { done: true, value: undefined });
    });

    test("what is followed is said in the query", async () => {
      fake.follow = ({ send }) => send(snapshot(1));
      for (const scope of [{ project: "local/a/b" }, { session: "s" }, { log: true }]) {
        await positions(follow(scope), 1);
      }
      const queries = fake.followed.map(({ query }) => query);
      assert.deepEqual(queries, [{ project: "local/a/b" }, { session: "s" }, { log: "true" }]);
      assert.equal(fake.followed[0].token, "token-1");
    });

    test("a connection that breaks goes on behind the last change, and repeats are left out", async () => {
      fake.follow = (link, count) => {
        if (count === 1) {
          link.send(snapshot(3), change(4), change(6));
        } else if (count === 2) {
          link.send(change(4), change(6), change(5), change(7));
        } else {
          link.send(change(9), change(9), change(8), change(10));
        }
      };
      assert.deepEqual(await positions(follow(), 10, [6, 7]), ["snapshot 3", 4, 6, 7, 9, 10]);
      assert.deepEqual(afters(), [undefined, "6", "7"]);
    });

    test("whoever knows a position goes on from there", async () => {
      fake.follow = ({ send }) => send(...changes(8, 9));
      assert.deepEqual(await positions(follow({}, { after: 7 }), 9), [8, 9]);
      assert.deepEqual(afters(), ["7"]);
    });

    test("a heartbeat moves the position from which to go on", async () => {
      fake.follow = ({ send }, count) => (count === 1 ? send(snapshot(3), heartbeat(50)) : send(change(51)));
      const following = follow();
      assert.deepEqual((await following.next()).value, snapshot(3));
      const next = following.next();
      await until("the heartbeat to be taken", () => following.position === 50);
      fake.cut();
      assert.deepEqual((await next).value, change(51));
      following.close();
      assert.deepEqual(afters(), [undefined, "50"]);
    });

    test("before the snapshot no position is known, whatever is said", async () => {
      fake.follow = (link, count) => {
        if (count === 1) {
          link.send(heartbeat(0), closing(0, "restarting"));
          link.end(1012);
        } else if (count === 2) {
          link.send({ type: "heartbeat" }, { type: "closing", code: "restarting", reason: "" });
          link.end(1012);
        } else {
          link.send(snapshot(7), change(8));
        }
      };
      const following = follow();
      assert.deepEqual(await positions(following, 8), ["snapshot 7", 8]);
      assert.deepEqual(afters(), [undefined, undefined, undefined]);
    });

    test("a closing without a position leaves the one that is known", async () => {
      fake.follow = (link, count) => {
        if (count === 1) {
          link.send({ type: "closing", code: "restarting", reason: "" });
          link.end(1012);
        } else {
          link.send(change(8));
        }
      };
      assert.deepEqual(await positions(follow({}, { after: 7 }), 8), [8]);
      assert.deepEqual(afters(), ["7", "7"]);
    });

    test("a message that cannot be read ends the connection, and what was lost comes again", async () => {
      fake.follow = (link, count) => {
        if (count === 1) {
          link.send(snapshot(3));
          link.garble();
          link.send(change(5));
        } else {
          link.send(...changes(4, 5));
        }
      };
      assert.deepEqual(await positions(follow(), 5), ["snapshot 3", 4, 5]);
      assert.deepEqual(afters(), [undefined, "3"]);
    });

    test("a server that fails again and again is given up, with waits that grow", async () => {
      fake.follow = (link, count) => {
        link.send(...(count === 1 ? [snapshot(3)] : [progress]), closing(3, "failed"));
        link.end(1011);
      };
      const backOffMs = { first: 1, longest: 100 };
      const begun = performance.now();
      const following = follow({}, { backOffMs });
      const ended = await following.each(() => {}).catch((error) => error);
      assert.ok(ended instanceof FollowingEnded);
      assert.deepEqual([ended.code, ended.position, following.position], ["failed", 3, 3]);
      assert.equal(fake.followed.length, 10);
      // Nine waits from 1 to 100 ms, each at least half of that.
      assert.ok(performance.now() - begun >= 177, "the waits were begun anew");
    });

    test("a server that gets on between its failures is come back to", async () => {
      fake.follow = (link, count) => {
        link.send(count === 1 ? snapshot(1) : change(count), closing(count, "failed"));
        link.end(1011);
      };
      const seen = await positions(follow({}, { backOffMs: { first: 1, longest: 2 } }), 25);
      assert.equal(seen.length, 25);
    });

    test("a connection that says nothing is given up", async () => {
      fake.follow = (link, count) => (count === 1 ? link.send(snapshot(3)) : link.send(change(4)));
      assert.deepEqual(await positions(follow({}, { silenceMs: 500 }), 4), ["snapshot 3", 4]);
      // A busy machine may be taken for a silent server once more.
      assert.deepEqual(afters().slice(0, 2), [undefined, "3"]);
    });

    for (const code of ["too-slow", "restarting", "failed"]) {
      test(`a server that closes with ${code} is come back to`, async () => {
        fake.follow = (link, count) => {
          if (count === 1) {
            link.send(snapshot(3), closing(5, code));
            link.end(1013);
          } else {
            link.send(change(6));
          }
        };
        assert.deepEqual(await positions(follow(), 6), ["snapshot 3", 6]);
        assert.deepEqual(afters(), [undefined, "5"]);
        assert.equal(fake.signIns, 1);
      });
    }

    test("a token that is worn out is replaced", async () => {
      fake.follow = (link, count) => {
        if (count === 1) {
          link.send(snapshot(3), closing(3, "signed-out"));
          link.end(1008);
        } else {
          link.send(change(4));
        }
      };
      assert.deepEqual(await positions(follow(), 4), ["snapshot 3", 4]);
      assert.deepEqual(fake.followed.map(({ token }) => token), ["token-1", "token-2"]);
    });

    test("what is no longer one's own to see ends it", async () => {
      fake.follow = (link) => {
        link.send(snapshot(3), change(4), closing(4, "not-allowed"));
        link.end(1008);
      };
      const following = follow();
      const seen = [];
      const ended = await following.each(({ position }) => seen.push(position)).catch((error) => error);
      assert.ok(ended instanceof FollowingEnded);
      assert.deepEqual([ended.message, ended.code, ended.position], ["told: not-allowed", "not-allowed", 4]);
      assert.deepEqual(seen, [3, 4]);
    });

    test("who takes messages slowly gets all that came before the end", async () => {
      fake.follow = (link) => {
        link.send(snapshot(3), ...changes(4, 200), closing(210, "not-allowed"));
        link.end(1008);
      };
      const states = [];
      const following = follow({}, { onState: (state) => states.push(state) });
      await following.next();
      await until("the end to come", () => states.includes("closed"));
      assert.equal(following.position, 3);
      const seen = [];
      const ended = await following.each(({ position }) => seen.push(position)).catch((error) => error);
      assert.deepEqual(seen, changes(4, 200).map(({ position }) => position));
      assert.deepEqual([ended.position, following.position], [210, 210]);
      assert.deepEqual(await following.next(), { done: true, value: undefined });
      assert.deepEqual(states, ["connecting", "live", "closed"]);
    });

    test("whoever closes it gets nothing that waits", async () => {
      fake.follow = ({ send }) => send(snapshot(3), ...changes(4, 20));
      const following = follow();
      await following.next();
      following.close();
      assert.deepEqual(await following.next(), { done: true, value: undefined });
    });

    test("who signs out follows no longer, and does not sign in anew", async () => {
      let link;
      fake.follow = (opened) => (link = opened).send(snapshot(3));
      fake.answer = () => {
        // It is said before the answer comes.
        link.send(closing(3, "signed-out"));
        link.end(1008);
        return { body: { session: "s", position: 4 } };
      };
      const following = follow();
      await following.next();
      const ended = following.next().catch((error) => error);
      await firefly.signOut();
      assert.ok((await ended) instanceof FollowingEnded);
      assert.equal((await ended).code, "signed-out");
      assert.deepEqual([fake.signIns, fake.followed.length], [1, 1]);
    });

    test("who signs out while the connection is lost follows no longer either", async () => {
      const states = [];
      fake.follow = ({ send }, count) => (count === 1 ? send(snapshot(3)) : problem(503, "live-busy"));
      fake.answer = () => ({ body: { session: "s", position: 4 } });
      const following = follow({}, { onState: (state) => states.push(state) });
      await following.next();
      fake.cut();
      await until("the loss to be noticed", () => states.includes("reconnecting"));
      await firefly.signOut();
      await assert.rejects(following.next(), { code: "signed-out" });
      assert.equal(fake.signIns, 1);
    });

    test("a refusal that does not pass ends it, with what Firefly says", async () => {
      fake.follow = () => problem(403, "not-an-auditor");
      const refused = await follow({ log: true }).next().catch((error) => error);
      assert.ok(refused instanceof FireflyProblem);
      assert.equal(refused.code, "not-an-auditor");
    });

    test("a refusal that passes is waited for", async () => {
      fake.follow = ({ send }, count) => (count <= 3 ? problem(503, "live-busy", { "retry-after": "0" }) : send(snapshot(1)));
      assert.deepEqual(await positions(follow(), 1), ["snapshot 1"]);
    });

    test("a token that is refused at the beginning is replaced", async () => {
      fake.follow = ({ send }, count, { query }) => {
        const { token } = fake.followed.at(-1);
        return token === "token-1" ? problem(401, "session-over") : send(snapshot(query.after ?? 1));
      };
      assert.deepEqual(await positions(follow(), 1), ["snapshot 1"]);
    });

    test("a log that never came to the position is seen from its beginning", async () => {
      fake.follow = ({ send }, count, { query }) => (query.after ? problem(400, "position-unknown") : send(snapshot(2)));
      assert.deepEqual(await positions(follow({}, { after: 900 }), 2), ["snapshot 2"]);
    });

    test("a server that is gone is waited for", async () => {
      const states = [];
      fake.follow = ({ send }) => send(snapshot(3));
      const following = follow({}, { onState: (state) => states.push(state) });
      await following.next();
      const { port } = new URL(fake.url);
      await fake.stop();
      await until("the loss to be noticed", () => states.includes("reconnecting"));
      fake = await FakeFirefly.start(port);
      fake.follow = ({ send }) => send(change(4));
      assert.deepEqual((await following.next()).value, change(4));
      following.close();
      assert.equal(states.at(0), "connecting");
      assert.equal(states.at(-1), "closed");
      assert.equal(fake.followed[0].query.after, "3");
    });

    test("who takes messages slowly gets all of them, and few wait", async () => {
      const last = 3_500;
      let sent = 0;
      fake.follow = ({ send }, count, { query }) => {
        const behind = Number(query.after ?? 0);
        sent += last - behind;
        send(...(query.after ? [] : [snapshot(0)]), ...changes(behind + 1, last));
      };
      const following = follow();
      await following.next();
      await until("the connection to be given up", () => fake.followed.length >= 1 && fake.open === 0);
      const seen = [];
      for await (const { position } of following) {
        seen.push(position);
        if (position === last) {
          break;
        }
      }
      assert.deepEqual(seen, changes(1, last).map(({ position }) => position));
      assert.ok(fake.followed.length > 1, "it was never given up");
    });

    test("a signal ends it with its reason, a break without one", async () => {
      fake.follow = ({ send }) => send(snapshot(1));
      const given = new AbortController();
      const following = follow({}, { signal: given.signal });
      await following.next();
      const next = following.next();
      given.abort(new Error("enough"));
      await assert.rejects(next, /enough/);
      await positions(follow(), 1);
      await until("the connections to end", () => fake.open === 0);
      await assert.rejects(follow({}, { signal: given.signal }).next(), /enough/);
      assert.equal(fake.followed.length, 2);
    });
  });
}

test("where no WebSocket comes to be, an event stream does", async () => {
  fake.follow = ({ send }, _, { way }) => (way === "web-socket" ? { status: 502 } : send(snapshot(1), change(2)));
  assert.deepEqual(await positions(firefly.follow(), 2), ["snapshot 1", 2]);
  assert.deepEqual(fake.followed.map(({ way }) => way), ["web-socket", "event-stream"]);
});

test("where a WebSocket came to be once, they are come back to", async () => {
  fake.follow = ({ send }, count) => {
    if (count === 1) {
      send(snapshot(1));
    } else {
      return count === 2 ? { status: 502 } : send(change(2), change(3));
    }
  };
  assert.deepEqual(await positions(firefly.follow(), 3, [1]), ["snapshot 1", 2, 3]);
  const ways = fake.followed.map(({ way }) => way);
  assert.deepEqual(ways, ["web-socket", "web-socket", "event-stream", "web-socket"]);
});

test("where there is no WebSocket at all, event streams do", async (context) => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  delete globalThis.WebSocket;
  context.after(() => own && Object.defineProperty(globalThis, "WebSocket", own));
  const plain = new Firefly({ url: fake.url, client: "test" });
  fake.follow = ({ send }) => send(snapshot(1));
  await positions(plain.follow(), 1);
  assert.deepEqual(fake.followed.map(({ way }) => way), ["event-stream"]);
});

test("a signal that lives long keeps nothing of what is over", async () => {
  fake.follow = ({ send }) => send(snapshot(1));
  const { signal } = new AbortController();
  for (let count = 0; count < 3; count += 1) {
    await positions(firefly.follow({}, { signal }), 1);
  }
  await until("the connections to end", () => fake.open === 0);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
