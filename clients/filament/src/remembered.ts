// Answers that are remembered by their tag, so that what has not changed is not sent again (RFC 9110, section 13.1.2).

import type { Answer } from "./http.js";

/** Answers that are remembered; the one that was used longest ago goes first. */
const REMEMBERED_MAX = 200;

export class Remembered {
  readonly #answers = new Map<string, { etag: string; body: unknown }>();

  /** The header that asks for what is new only. */
  headers(path: string): Record<string, string> {
    const known = this.#answers.get(path);
    return known === undefined ? {} : { "If-None-Match": known.etag };
  }

  /** The body of an answer, or the one that is known if nothing is new. */
  body<Body>(path: string, { status, headers, body }: Answer): Body {
    const known = this.#answers.get(path);
    this.#answers.delete(path);
    const etag = headers.get("etag");
    const current = status === 304 ? known?.body : body;
    if (etag !== null && current !== undefined) {
      this.#answers.set(path, { etag, body: current });
    }
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= REMEMBERED_MAX) {
        break;
      }
      this.#answers.delete(oldest);
    }
    // Whoever gets it may change it.
    return structuredClone(current) as Body;
  }
}
