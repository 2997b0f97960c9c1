// Requests: signed in, tried again within bounds, and refused with what Firefly says.

import { Credentials } from "./credentials.js";
import { FireflyProblem, FireflyUnreachable } from "./errors.js";
import type { SignedIn } from "./types.js";
import { anySignal, BackOff, sleep } from "./waiting.js";

/** Tries of one request, the first one included: with the waits in between some five seconds. */
const TRIES = 5;
const BACK_OFF_MS = { first: 250, longest: 4_000 };

/** No answer of Firefly's takes nearly as long. */
const ANSWER_MS = 30_000;

/** The longest `Retry-After` that is waited for; beyond it the caller decides. */
const RETRY_AFTER_LONGEST_MS = 30_000;

/** Statuses that pass: too many requests, and what stands between us and Firefly or behind it. */
const PASSING = [408, 429, 502, 503, 504];

/** What to send. */
export interface Request {
  method?: "GET" | "POST";
  path: string;
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** The token to send, and no other. */
  token?: string | undefined;
}

/** What came. */
export interface Answer {
  status: number;
  headers: Headers;
  /** The JSON of an answer that has one. */
  body: unknown;
}

export type Fetch = typeof fetch;

/** Who is calling, and where. */
export interface Connection {
  /** Where Firefly is, such as `http://localhost:2440`. */
  url: string;
  /** The name of the program, for history. */
  client: string;
  /** A token that is there already; without one, the local user is signed in. */
  token?: string | undefined;
  fetch?: Fetch | undefined;
}

export class Http {
  readonly credentials: Credentials;
  readonly #url: string;
  readonly #fetch: Fetch;

  constructor({ url, client, token, fetch }: Connection) {
    this.#url = url.replace(/\/+$/, "");
    // Browsers want it called on nothing but the window.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    const signIn = () => this.#signIn(client);
    this.credentials = new Credentials(token, token === undefined ? signIn : undefined);
  }

  /** An address below `/api/v1`, with a query of all that is there. */
  address(path: string, query: Record<string, unknown> = {}): URL {
    const address = new URL(`${this.#url}/api/v1/${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) {
        address.searchParams.set(name, Array.isArray(value) ? value.join(",") : String(value));
      }
    }
    return address;
  }

  /** Sends a request until it is answered for good. Answers of 200 to 304 are returned, others are thrown. */
  async send(request: Request): Promise<Answer> {
    let renewed = false;
    return this.#trying(request.signal, async () => {
      const token = request.token ?? (await this.credentials.token());
      const response = await this.once(request, token);
      if (response.status === 401 && request.token === undefined && this.credentials.renewable && !renewed) {
        renewed = true;
        this.credentials.refused(token);
        return this.once(request, await this.credentials.token());
      }
      return response;
    });
  }

  /** The body of the answer to a request. */
  async body<Body>(request: Request): Promise<Body> {
    const { body } = await this.send(request);
    return body as Body;
  }

  /** Sends a request once, whatever its answer. Only the signal of the request ends one whose answer goes on for long. */
  async once(request: Request, token?: string, limitMs: number | undefined = ANSWER_MS): Promise<Response> {
    const { method = "GET", path, query, headers, body, signal } = request;
    const sent: Record<string, string> = { Accept: "application/json", ...headers };
    if (token !== undefined) {
      sent["Authorization"] = `Bearer ${token}`;
    }
    if (body !== undefined) {
      sent["Content-Type"] = "application/json";
    }
    const limit = limitMs === undefined ? undefined : AbortSignal.timeout(limitMs);
    try {
      return await this.#fetch(this.address(path, query), {
        method,
        headers: sent,
        body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store",
        redirect: "error",
        signal: anySignal(signal, limit),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw new FireflyUnreachable(`Firefly does not answer at ${this.#url}`, { cause: error });
    }
  }

  async #trying(signal: AbortSignal | undefined, once: () => Promise<Response>): Promise<Answer> {
    const backOff = new BackOff(BACK_OFF_MS.first, BACK_OFF_MS.longest);
    for (let left = TRIES - 1; ; left -= 1) {
      let error: FireflyProblem | FireflyUnreachable;
      try {
        const response = await once();
        if (response.ok || response.status === 304) {
          return await read(response);
        }
        error = await FireflyProblem.from(response);
      } catch (thrown) {
        if (!(thrown instanceof FireflyUnreachable)) {
          throw thrown;
        }
        error = thrown;
      }
      const asked = error instanceof FireflyProblem ? error.retryAfterMs : undefined;
      if (left === 0 || !passes(error) || (asked ?? 0) > RETRY_AFTER_LONGEST_MS) {
        throw error;
      }
      await sleep(Math.max(backOff.next(), asked ?? 0), signal);
    }
  }

  async #signIn(client: string): Promise<SignedIn> {
    const request: Request = { method: "POST", path: "sessions/start", body: { client } };
    const { body } = await this.#trying(undefined, () => this.once(request));
    return body as SignedIn;
  }
}

/** Whether the same request may be answered otherwise in a moment. */
export function passes(error: unknown): boolean {
  if (error instanceof FireflyProblem) {
    return PASSING.includes(error.status) || error.code === "idempotency-key-in-flight";
  }
  return error instanceof FireflyUnreachable;
}

async function read(response: Response): Promise<Answer> {
  const { status, headers } = response;
  try {
    return { status, headers, body: status === 304 ? undefined : await response.json() };
  } catch (error) {
    throw new FireflyUnreachable("Firefly's answer broke off", { cause: error });
  }
}
