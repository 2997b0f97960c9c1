// A Firefly that answers by a script, and notes what it was asked.

import { once } from "node:events";
import { createServer } from "node:http";

import { WebSocket, WebSocketServer } from "ws";

export { WebSocket };

/** A server whose `answer` is called with each request, and `follow` with each live connection. */
export class FakeFirefly {
  /** Requests as they came, sign-ins apart. */
  requests = [];
  signIns = 0;
  /** The queries of live connections, and how each came. */
  followed = [];
  /** Ends the last live connection as a failing network does. */
  cut = () => {};
  /** What answers a request: a status, headers and a body, or nothing to break the connection off. */
  answer = () => ({ status: 404, body: { code: "not-found" } });
  /** What a live connection is: it gets `send`, `garble`, `end`, `cut` and the number of the connection; or it answers a refusal. */
  follow = () => undefined;
  #server = createServer((request, response) => this.#answered(request, response));
  #sockets = new WebSocketServer({ noServer: true });
  #open = new Set();

  static async start(port = 0) {
    const fake = new FakeFirefly();
    fake.#server.on("upgrade", (request, socket, head) => fake.#upgraded(request, socket, head));
    fake.#server.listen(Number(port), "127.0.0.1");
    await once(fake.#server, "listening");
    return fake;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Live connections that are open. */
  get open() {
    return this.#open.size;
  }

  async stop() {
    for (const connection of this.#open) {
      connection.cut();
    }
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answered(request, response) {
    const chunks = await request.toArray();
    const text = Buffer.concat(chunks).toString();
    const { pathname, searchParams } = new URL(request.url, this.url);
    const path = pathname.replace("/api/v1/", "");
    if (path === "sessions/start") {
      this.signIns += 1;
      const expires_at = new Date(Date.now() + 12 * 3_600_000).toISOString();
      const body = { session: "s", user: "local", token: `token-${this.signIns}`, expires_at };
      reply(response, { status: 201, body });
      return;
    }
    if (path === "events/stream") {
      this.#streamed(request, response, searchParams);
      return;
    }
    const asked = { method: request.method, path, query: Object.fromEntries(searchParams), headers: request.headers };
    asked.body = text === "" ? undefined : JSON.parse(text);
    asked.at = performance.now();
    this.requests.push(asked);
    const answer = await this.answer(asked, this.requests.length);
    if (answer === undefined) {
      response.destroy();
    } else {
      reply(response, answer);
    }
  }

  #connected(way, token, searchParams, link) {
    const query = Object.fromEntries(searchParams);
    delete query.token;
    this.followed.push({ way, token, query });
    this.#open.add(link);
    this.cut = () => link.cut();
    return this.follow(link, this.followed.length, { way, query });
  }

  #streamed(request, response, searchParams) {
    const token = request.headers.authorization?.replace("Bearer ", "");
    const link = {
      send: (...messages) => {
        for (const message of messages) {
          const id = message.position === undefined ? "" : `id: ${message.position}\n`;
          response.write(`event: ${message.type}\n${id}data: ${JSON.stringify(message)}\n\n`);
        }
      },
      garble: () => response.write("data: {\n\n"),
      end: () => response.end(),
      cut: () => response.destroy(),
    };
    response.on("close", () => this.#open.delete(link));
    let begun = false;
    const begin = () => {
      if (!begun) {
        begun = true;
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("retry: 2000\n\n");
      }
    };
    const { send, garble } = link;
    link.send = (...messages) => {
      begin();
      send(...messages);
    };
    link.garble = () => {
      begin();
      garble();
    };
    const refusal = this.#connected("event-stream", token, searchParams, link);
    if (refusal === undefined) {
      begin();
    } else {
      reply(response, refusal);
    }
  }

  #upgraded(request, socket, head) {
    const { searchParams } = new URL(request.url, this.url);
    const waiting = [];
    const link = {
      send: (...messages) => void waiting.push(...messages.map((message) => JSON.stringify(message))),
      garble: () => void waiting.push("{"),
      end: () => void waiting.push(null),
      cut: () => socket.destroy(),
    };
    socket.on("error", () => {});
    socket.on("close", () => this.#open.delete(link));
    const refusal = this.#connected("web-socket", searchParams.get("token"), searchParams, link);
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\n\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      link.send = (...messages) => messages.forEach((message) => webSocket.send(JSON.stringify(message)));
      link.end = (code) => webSocket.close(code ?? 1011);
      link.garble = () => webSocket.send("{");
      for (const text of waiting) {
        if (text === null) {
          link.end();
        } else {
          webSocket.send(text);
        }
      }
    });
  }
}

function reply(response, { status = 200, headers = {}, body }) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

/** A refusal as Firefly makes it. */
export function problem(status, code, headers = {}) {
  const body = { type: `urn:firefly:problem:${code}`, title: "Refused", status, detail: `told: ${code}`, code };
  return { status, headers: { "content-type": "application/problem+json", ...headers }, body };
}

/** Looks again and again until something is so. */
export async function until(what, look, patienceMs = 10_000) {
  const deadline = performance.now() + patienceMs;
  while (!look()) {
    if (performance.now() > deadline) {
      throw new Error(`waited in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
