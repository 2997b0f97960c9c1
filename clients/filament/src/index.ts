// Everything that there is to import.

export { FireflyError, FireflyProblem, FireflyUnreachable, FollowingEnded } from "./errors.js";
export {
  type CommandOptions,
  Firefly,
  type FireflyOptions,
  type PastOptions,
  type QueryOptions,
} from "./firefly.js";
export { Following, type FollowOptions, type FollowState } from "./following.js";
export { type Page, Pages } from "./pages.js";
export type * from "./types.js";
