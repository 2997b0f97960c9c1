// Who is calling: a token that is there already, or a sign-in that gives one and is made again when it is worn out.

import type { SignedIn } from "./types.js";

/** A token is renewed so long before it runs out. */
const RENEW_BEFORE_MS = 5 * 60_000;

export class Credentials {
  readonly #signIn: (() => Promise<SignedIn>) | undefined;
  #token: string | undefined;
  #goodUntil = Number.POSITIVE_INFINITY;
  #pending: Promise<string> | undefined;
  #signOuts = 0;

  /** Without `signIn` there is no other token than the one given. */
  constructor(token: string | undefined, signIn: (() => Promise<SignedIn>) | undefined) {
    this.#token = token;
    this.#signIn = signIn;
  }

  /** Whether a token that is refused can be replaced by another one. */
  get renewable(): boolean {
    return this.#signIn !== undefined;
  }

  /** How often this client has signed out, or is about to. */
  get signOuts(): number {
    return this.#signOuts;
  }

  /** A token; however many ask at the same time, there is one sign-in. */
  async token(): Promise<string> {
    if (this.#token !== undefined && Date.now() < this.#goodUntil) {
      return this.#token;
    }
    if (this.#signIn === undefined) {
      return this.#token ?? "";
    }
    this.#pending ??= this.#renew(this.#signIn).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  /** Firefly refused this token. If it is still the one in use, the next one is asked for. */
  refused(token: string): void {
    if (this.renewable && this.#token === token) {
      this.#token = undefined;
    }
  }

  /** Ends the session of the token that there is, if there is one, and forgets it. */
  async signOut(end: (token: string) => Promise<unknown>): Promise<void> {
    await this.#pending?.catch(() => undefined);
    const token = this.#token;
    if (token === undefined) {
      return;
    }
    // Followers may hear of the end before the answer comes.
    this.#signOuts += 1;
    try {
      await end(token);
    } catch (error) {
      this.#signOuts -= 1;
      throw error;
    }
    this.refused(token);
  }

  async #renew(signIn: () => Promise<SignedIn>): Promise<string> {
    const { token, expires_at } = await signIn();
    this.#token = token;
    this.#goodUntil = Date.parse(expires_at) - RENEW_BEFORE_MS;
    return token;
  }
}
