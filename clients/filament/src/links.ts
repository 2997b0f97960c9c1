// The two ways on which live messages come. Each ends when its signal does, or when it has no more to give.

import { FireflyProblem, FireflyUnreachable } from "./errors.js";
import type { Http } from "./http.js";
import type { LiveMessage } from "./types.js";

/** A message is far smaller; more than that without an end is no message. */
const MESSAGE_CHARACTERS_MAX = 64 * 1024 * 1024;

/** How a connection went. */
export interface Outcome {
  /** Whether it came to be at all. */
  opened: boolean;
  /** Why not, if Firefly said so. A WebSocket tells nothing. */
  problem?: FireflyProblem;
}

/** What is asked for, and who gets it. */
export interface Listening {
  query: Record<string, unknown>;
  token: string;
  opened: () => void;
  receive: (message: LiveMessage) => void;
  signal: AbortSignal;
}

/** Listens on a WebSocket. */
export function onWebSocket(Socket: typeof WebSocket, http: Http, listening: Listening): Promise<Outcome> {
  const { query, token, signal } = listening;
  const address = http.address("live", { ...query, token });
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return new Promise((resolve) => {
    const outcome: Outcome = { opened: false };
    const socket = new Socket(address);
    let over = false;
    const end = () => {
      over = true;
      signal.removeEventListener("abort", end);
      socket.close();
      resolve(outcome);
    };
    signal.addEventListener("abort", end, { once: true });
    socket.addEventListener("open", () => {
      outcome.opened = true;
      listening.opened();
    });
    socket.addEventListener("message", ({ data }) => {
      // What is on its way when it ends still comes.
      if (over) {
        return;
      }
      let message: LiveMessage;
      try {
        message = JSON.parse(data as string) as LiveMessage;
      } catch {
        // Whatever it was is lost; behind the last message that was understood it comes again.
        end();
        return;
      }
      listening.receive(message);
    });
    socket.addEventListener("error", end);
    socket.addEventListener("close", end);
    if (signal.aborted) {
      end();
    }
  });
}

/** Listens to server-sent events. */
export async function onEventStream(http: Http, listening: Listening): Promise<Outcome> {
  const { query, token, signal } = listening;
  const headers = { Accept: "text/event-stream, application/problem+json" };
  let response: Response;
  try {
    response = await http.once({ path: "events/stream", query, headers, signal }, token, undefined);
  } catch (error) {
    if (signal.aborted || error instanceof FireflyUnreachable) {
      return { opened: false };
    }
    throw error;
  }
  if (!response.ok || response.body === null) {
    return { opened: false, problem: await FireflyProblem.from(response) };
  }
  listening.opened();
  try {
    for await (const data of events(response.body)) {
      if (signal.aborted) {
        break;
      }
      listening.receive(JSON.parse(data) as LiveMessage);
    }
  } catch {
    // It broke off, which is how connections end.
  }
  return { opened: true };
}

/** The data of each event of a stream (WHATWG HTML, section 9.2.6). The type and the position are in the data as well. */
async function* events(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, undefined> {
  let rest = "";
  let data: string[] = [];
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  // Not every browser lets a stream be iterated.
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const lines = (rest + read.value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (rest.length > MESSAGE_CHARACTERS_MAX) {
      return;
    }
    for (const line of lines) {
      if (line === "" && data.length > 0) {
        yield data.join("\n");
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
      }
    }
  }
}
