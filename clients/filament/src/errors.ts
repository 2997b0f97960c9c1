// What can go wrong, as classes that programs can tell apart.

import type { Closing, Problem, ProblemCode } from "./types.js";

/** Anything that this package throws by itself. */
export class FireflyError extends Error {
  override name = "FireflyError";
}

/** Firefly refused a request. `code` is for programs, `message` for people. */
export class FireflyProblem extends FireflyError {
  override name = "FireflyProblem";
  readonly status: number;
  readonly code: ProblemCode | "unknown";
  /** What to wait before the next try, if Firefly says so. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, problem: Partial<Problem> | undefined, retryAfterMs?: number) {
    super(problem?.detail ?? problem?.title ?? `Firefly answered with status ${status}`);
    this.status = status;
    this.code = (problem?.code as ProblemCode | undefined) ?? "unknown";
    this.retryAfterMs = retryAfterMs;
  }

  static async from(response: Response): Promise<FireflyProblem> {
    const problem = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined;
    return new FireflyProblem(response.status, problem, retryAfterMs(response.headers.get("retry-after")));
  }
}

/** Firefly did not answer, or its answer broke off. Whether a command was carried out is not known. */
export class FireflyUnreachable extends FireflyError {
  override name = "FireflyUnreachable";
}

/**
 * Firefly ended it for good: what is followed is no longer this user's to see (`not-allowed`), the session is over
 * (`signed-out`), or Firefly cannot go on with it (`failed`).
 */
export class FollowingEnded extends FireflyError {
  override name = "FollowingEnded";
  readonly code: Closing["code"];
  /** Everything up to it was delivered; none if nothing was. */
  readonly position: number | undefined;

  constructor(reason: string, code: Closing["code"], position: number | undefined) {
    super(reason);
    this.code = code;
    this.position = position;
  }
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3). */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) {
    return undefined;
  }
  const wait = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
