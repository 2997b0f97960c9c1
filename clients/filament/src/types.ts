// The shapes of what goes to and comes from Firefly, under short names. All of them are made from its documentation.

import type { components, operations } from "./openapi.js";

type Schemas = components["schemas"];

export type Project = Schemas["Project"];
export type ProjectState = Schemas["ProjectState"];
export type Decision = Schemas["Decision"];
export type Session = Schemas["Session"];
export type ListedSession = Schemas["ListedSession"];
export type SignedIn = Schemas["SignedIn"];
export type Container = Schemas["Container"];
export type Workspace = Schemas["Workspace"];
export type Activity = Schemas["Activity"];
export type Event = Schemas["Event"];
export type HistoryEntry = Schemas["HistoryEntry"];
export type ProjectDiff = Schemas["ProjectDiff"];
export type Projections = Schemas["Projections"];
export type Problem = Schemas["Problem"];

type Refusal = components["responses"][keyof components["responses"]]["content"]["application/problem+json"];

/** Every code that a refusal may have; the last two are of paths and methods that there are not. */
export type ProblemCode = Refusal["code"] | "not-found" | "method-not-allowed";

/** The parameters of an operation's query, without those that say which page. */
type Query<Name extends keyof operations> = operations[Name] extends { parameters: { query?: infer Parameters } }
  ? Omit<NonNullable<Parameters>, "cursor" | "after" | "before">
  : never;

export type ProjectFilter = Omit<Query<"list_projects">, "at">;
export type SessionFilter = Omit<Query<"list_sessions">, "at">;
export type ContainerFilter = Query<"list_containers">;
export type WorkspaceFilter = Query<"list_workspaces">;
export type ActivityFilter = Query<"list_activity">;
export type HistoryFilter = Query<"get_history">;

/** Any message of a live connection. */
export type LiveMessage = Schemas["LiveMessage"];
export type Snapshot = Extract<LiveMessage, { type: "snapshot" }>;
export type Change = Extract<LiveMessage, { type: "change" }>;
export type Progress = Extract<LiveMessage, { type: "progress" }>;
export type Closing = Extract<LiveMessage, { type: "closing" }>;

/** What a follower gets. */
export type Message = Snapshot | Change | Progress;

/** What is followed: one project, one session, the whole log, or without any of them all projects of the user. */
export type Scope = { project?: string; session?: never; log?: never }
  | { project?: never; session: string; log?: never }
  | { project?: never; session?: never; log: true };
