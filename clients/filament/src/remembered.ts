// Answers that are remembered by their tag, so that what has not changed is not sent again (RFC 9110, section 13.1.2).

import type { Answer } from "./http.js";

/** Answers that are remembered; the one that was used longest ago goes first. */
const REMEMBERED_MAX = 200;

/** An answer, and the tag that asks for what is new only. */
export interface Known {
  readonly etag: string;
  readonly body: unknown;
}

export class Remembered {
  readonly #answers = new Map<string, Known>();

  /** What is known. Whoever asks by its tag keeps hold of it: it may be forgotten before the answer comes. */
  known(path: string): Known | undefined {
    return this.#answers.get(path);
  }

  /** The body of an answer, or the one that is known if nothing is new. */
  body<Body>(path: string, known: Known | undefined, { status, headers, body }: Answer): Body {
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
