// Following what happens: a snapshot, then every change once and in order, through whatever happens to the connection.

import { FollowingEnded } from "./errors.js";
import { type Http, passes } from "./http.js";
import { type Listening, onEventStream, onWebSocket, type Outcome } from "./links.js";
import type { Closing, LiveMessage, Message, Scope } from "./types.js";
import { anySignal, BackOff, sleep } from "./waiting.js";

const BACK_OFF_MS = { first: 250, longest: 15_000 };

/** Connections in a row that Firefly closed with `failed` before anything came: with the waits in between most of a minute. */
const FAILED_MAX = 10;

/** Firefly sends a heartbeat every 15 seconds; without three of them the connection is dead, whatever the machine thinks. */
const SILENCE_MS = 45_000;

/** Messages that wait for who follows. Beyond that the connection is given up until they have been taken. */
const WAITING_MAX = 1_000;

/** How the connection is. */
export type FollowState = "connecting" | "live" | "reconnecting" | "closed";

/** How something is followed. */
export interface FollowOptions {
  /** The position that is known already; what comes first is what happened behind it, and no snapshot. */
  after?: number | undefined;
  /** Ends it; the iterator then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Without it a WebSocket, and an event stream where no WebSocket comes to be. */
  transport?: "web-socket" | "event-stream" | undefined;
  /** Is told how the connection is. */
  onState?: ((state: FollowState) => void) | undefined;
  /** Silence after which the connection is taken for dead. */
  silenceMs?: number | undefined;
  /** The waits between connections: the first one, and the longest that it grows to. */
  backOffMs?: { first: number; longest: number } | undefined;
}

/** Something that is followed. It is iterated once; it connects when the first message is asked for. */
export class Following implements AsyncIterableIterator<Message> {
  readonly #http: Http;
  readonly #webSocket: typeof WebSocket | undefined;
  readonly #scope: object;
  readonly #options: FollowOptions;
  readonly #over = new AbortController();
  readonly #backOff: BackOff;

  /** What came and was not taken yet; heartbeats too, since they move the position. */
  readonly #waiting: LiveMessage[] = [];
  /** Wakes who waits for a message, or for room. */
  #wake = () => {};
  #changed = new Promise<void>((resolve) => (this.#wake = resolve));

  /** The position of the last message that came, from which a connection goes on; none before the snapshot. */
  #seen: number | undefined;
  /** The position of the last message that was taken. */
  #taken: number | undefined;
  /** What is thrown when all that came before it was taken. */
  #failure: { error: unknown } | undefined;
  #state: FollowState | undefined;
  #begun = false;
  /** How often the client had signed out when this began. */
  #signOuts = 0;
  /** Whether the last WebSocket did not come to be, so that an event stream is tried, which tells why. */
  #refused = false;
  /** Whether a WebSocket came to be: then they do here, and an event stream is only asked why one did not. */
  #hadWebSocket = false;
  /** How often in a row Firefly closed with `failed`, and nothing came before that. */
  #failed = 0;

  constructor(http: Http, webSocket: typeof WebSocket | undefined, scope: Scope | object, options: FollowOptions) {
    this.#http = http;
    this.#webSocket = webSocket;
    this.#scope = scope;
    this.#options = options;
    this.#seen = this.#taken = options.after;
    const { first, longest } = options.backOffMs ?? BACK_OFF_MS;
    this.#backOff = new BackOff(first, longest);
    const { signal } = options;
    const given = () => this.#stop({ error: signal?.reason });
    // A signal may live as long as its program; it has no use for what is over.
    signal?.addEventListener("abort", given, { once: true, signal: this.#over.signal });
    if (signal?.aborted) {
      given();
    }
  }

  /** Everything up to it was taken. It is `after` for who wants to go on later. */
  get position(): number | undefined {
    return this.#taken;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Message, undefined>> {
    if (!this.#begun && !this.#over.signal.aborted) {
      this.#begun = true;
      this.#signOuts = this.#http.credentials.signOuts;
      void this.#run();
    }
    for (;;) {
      const message = this.#waiting.shift();
      if (message === undefined) {
        if (this.#failure !== undefined || this.#over.signal.aborted) {
          return this.#end();
        }
        await this.#changed;
        continue;
      }
      this.#notify();
      if (message.type !== "progress") {
        this.#taken = message.position ?? this.#taken;
      }
      if (message.type !== "heartbeat" && message.type !== "closing") {
        return { done: false, value: message };
      }
    }
  }

  /** Ends it, as leaving a `for await` does. */
  async return(): Promise<IteratorResult<Message, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Ends it at once; the iterator then ends too. */
  close(): void {
    this.#stop(undefined);
  }

  /** Calls back with each message, until it is closed. A promise that the callback returns is waited for. */
  async each(callback: (message: Message) => unknown): Promise<void> {
    for await (const message of this) {
      await callback(message);
    }
  }

  #end(): IteratorResult<Message, undefined> {
    const failure = this.#failure;
    this.#failure = undefined;
    this.close();
    if (failure !== undefined) {
      throw failure.error;
    }
    return { done: true, value: undefined };
  }

  /** Ends it at once, whatever waits. */
  #stop(failure: { error: unknown } | undefined): void {
    if (this.#over.signal.aborted) {
      return;
    }
    this.#waiting.length = 0;
    this.#failure = failure;
    this.#over.abort();
    this.#report("closed");
    this.#notify();
  }

  /** There are no more connections, for a reason that is thrown behind what came before. */
  #fail(error: unknown): void {
    if (this.#over.signal.aborted) {
      return;
    }
    this.#failure = { error };
    this.#report("closed");
    this.#notify();
  }

  #report(state: FollowState): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#options.onState?.(state);
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#changed = new Promise((resolve) => (this.#wake = resolve));
    wake();
  }

  async #run(): Promise<void> {
    this.#report("connecting");
    try {
      while (!this.#over.signal.aborted) {
        const wait = await this.#connect();
        if (this.#over.signal.aborted) {
          return;
        }
        this.#report("reconnecting");
        await sleep(wait, this.#over.signal);
        await this.#untilHalfTaken();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** One connection, from its beginning to its end. Answers how long to wait before the next one. */
  async #connect(): Promise<number> {
    if (this.#signedOut) {
      throw new FollowingEnded("the client has signed out", "signed-out", this.#seen);
    }
    let token: string;
    try {
      token = await this.#http.credentials.token();
    } catch (error) {
      if (!passes(error)) {
        throw error;
      }
      return this.#backOff.next();
    }
    const link = new AbortController();
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => link.abort(), this.#options.silenceMs ?? SILENCE_MS);
    };
    let closing: Closing | undefined;
    const listening: Listening = {
      query: { ...this.#scope, after: this.#seen },
      token,
      opened: () => {
        watch();
        this.#report("live");
      },
      receive: (message) => {
        watch();
        if (message.type === "closing") {
          closing = message;
        } else if (message.type !== "progress") {
          this.#backOff.reset();
          this.#failed = 0;
        }
        if (!this.#take(message)) {
          link.abort();
        }
      },
      signal: anySignal(link.signal, this.#over.signal),
    };
    watch();
    try {
      const outcome = await this.#listen(listening);
      return this.#after(outcome, closing, token);
    } finally {
      clearTimeout(watchdog);
      link.abort();
    }
  }

  async #listen(listening: Listening): Promise<Outcome> {
    const socket = this.#options.transport === "event-stream" ? undefined : this.#webSocket;
    if (socket === undefined || (this.#refused && !this.#hadWebSocket && this.#options.transport === undefined)) {
      this.#refused = false;
      return onEventStream(this.#http, listening);
    }
    if (this.#refused) {
      this.#refused = false;
      const { problem } = await this.#ask(listening);
      if (problem !== undefined) {
        return { opened: false, problem };
      }
    }
    const outcome = await onWebSocket(socket, this.#http, listening);
    this.#refused = !outcome.opened;
    this.#hadWebSocket ||= outcome.opened;
    return outcome;
  }

  /** Asks for an event stream only to hear why there was no WebSocket. */
  async #ask(listening: Listening): Promise<Outcome> {
    const heard = new AbortController();
    const signal = anySignal(heard.signal, listening.signal);
    return onEventStream(this.#http, { ...listening, opened: () => heard.abort(), receive: () => {}, signal });
  }

  /** Judges how a connection ended; throws what cannot be mended. Answers how long to wait before the next one. */
  #after({ problem }: Outcome, closing: Closing | undefined, token: string): number {
    if (closing?.code === "failed") {
      this.#failed += 1;
    }
    if (closing?.code === "not-allowed" || (closing !== undefined && this.#failed >= FAILED_MAX)) {
      throw new FollowingEnded(closing.reason, closing.code, this.#seen);
    }
    if (closing?.code === "signed-out" || problem?.status === 401) {
      if (!this.#http.credentials.renewable) {
        const reason = closing?.reason ?? "the token is no longer good";
        throw problem ?? new FollowingEnded(reason, "signed-out", this.#seen);
      }
      this.#http.credentials.refused(token);
      return this.#backOff.next();
    }
    if (problem === undefined || passes(problem)) {
      return Math.max(this.#backOff.next(), problem?.retryAfterMs ?? 0);
    }
    if (problem.code === "position-unknown") {
      // The log is another one, which never came to this position. A snapshot is always right.
      this.#seen = undefined;
      return this.#backOff.next();
    }
    throw problem;
  }

  get #signedOut(): boolean {
    return this.#http.credentials.signOuts > this.#signOuts;
  }

  /** Takes a message in, unless it came before. Answers whether there is room for more. */
  #take(message: LiveMessage): boolean {
    if (message.type === "change" && message.position <= (this.#seen ?? -1)) {
      return true;
    }
    if (message.type === "heartbeat" || message.type === "closing") {
      // Before the snapshot nothing was sent, and no position says so.
      if (this.#seen === undefined || message.position === undefined) {
        return true;
      }
      this.#seen = Math.max(message.position, this.#seen);
    } else if (message.type === "change") {
      this.#seen = message.position;
    } else if (message.type === "snapshot") {
      this.#seen = message.position;
    }
    this.#waiting.push(message);
    this.#notify();
    return this.#waiting.length < WAITING_MAX;
  }

  async #untilHalfTaken(): Promise<void> {
    while (this.#waiting.length > WAITING_MAX / 2 && !this.#over.signal.aborted) {
      await this.#changed;
    }
  }
}
