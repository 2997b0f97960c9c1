// Firefly's API as methods.

import { FireflyProblem } from "./errors.js";
import { Following, type FollowOptions } from "./following.js";
import { type Connection, Http, type Request } from "./http.js";
import { type Page, Pages } from "./pages.js";
import { Remembered } from "./remembered.js";
import type {
  Activity,
  ActivityFilter,
  Container,
  ContainerFilter,
  Decision,
  HistoryEntry,
  HistoryFilter,
  ListedSession,
  Project,
  ProjectDiff,
  ProjectFilter,
  Projections,
  Scope,
  Session,
  SessionFilter,
  Workspace,
  WorkspaceFilter,
} from "./types.js";

/** How long a query waits for read models to reach this client's own commands. */
const WAIT_SECONDS = 5;

/** How a Firefly is reached. */
export interface FireflyOptions extends Connection {
  /** The WebSocket to use; the global one without it, and where there is none, event streams. */
  WebSocket?: typeof WebSocket | undefined;
}

/** How a command is sent. */
export interface CommandOptions {
  /** Gives up waiting for the answer; the command may be carried out all the same. */
  signal?: AbortSignal | undefined;
  /** Chosen anew for each call without it. With the same key, a command is carried out once. */
  idempotencyKey?: string | undefined;
  /** The project's revision as last seen: if it has changed since, the command is refused. */
  ifRevision?: number | undefined;
}

/** How a query is sent. */
export interface QueryOptions {
  signal?: AbortSignal | undefined;
  /** A position that the answer must have reached, besides that of this client's own commands. */
  minPosition?: number | undefined;
}

/** Of what is asked as it was: a position, a time, or for one project or session a revision such as `rev-3`. */
export interface PastOptions extends QueryOptions {
  at?: string | number | undefined;
}

/** A client of one Firefly, for one user. */
export class Firefly {
  readonly #http: Http;
  readonly #webSocket: typeof WebSocket | undefined;
  readonly #remembered = new Remembered();
  /** The position of the last command of this client: what is read has reached it. */
  #position = 0;

  constructor(options: FireflyOptions) {
    this.#http = new Http(options);
    this.#webSocket = options.WebSocket ?? globalThis.WebSocket;
  }

  /** A token for requests of one's own; signs in if there is none. */
  token(): Promise<string> {
    return this.#http.credentials.token();
  }

  /** Opens a git URL, `owner/repo`, `template:NAME` or a path; the project's key is in the answer. */
  open(source: string, options: CommandOptions & { branch?: string | undefined } = {}): Promise<Decision> {
    return this.#command("projects/open", { source, branch: options.branch }, options);
  }

  /** Opens a project again, or for the first time from a source. */
  openProject(
    key: string,
    options: CommandOptions & { source?: string | undefined; branch?: string | undefined } = {},
  ): Promise<Decision> {
    return this.#command(of(key, "open"), { source: options.source, branch: options.branch }, options);
  }

  /** Ends a project's container and keeps its workspace. */
  close(key: string, options: CommandOptions = {}): Promise<Decision> {
    return this.#command(of(key, "close"), {}, options);
  }

  /** Replaces a project's container by a new one. */
  restart(key: string, options: CommandOptions = {}): Promise<Decision> {
    return this.#command(of(key, "restart"), {}, options);
  }

  /** Removes a project's container and workspace. It is refused while work would be lost, unless `force` is set. */
  delete(key: string, options: CommandOptions & { force?: boolean | undefined } = {}): Promise<Decision> {
    return this.#command(of(key, "delete"), { force: options.force ?? false }, options);
  }

  /**
   * Ends the session, if one was begun, and with it what is followed. Whatever is asked afterwards begins another one,
   * unless the token was given.
   */
  signOut(options: CommandOptions = {}): Promise<void> {
    return this.#http.credentials.signOut(async (token) => {
      try {
        await this.#command("sessions/end", {}, options, token);
      } catch (error) {
        if (!(error instanceof FireflyProblem && error.status === 401)) {
          throw error;
        }
        // It was over already.
      }
    });
  }

  /** One project as it is, or was. What is known already is not sent again. */
  async project(key: string, options: PastOptions = {}): Promise<Project> {
    const path = of(key);
    if (options.at !== undefined) {
      return this.#query(path, { at: options.at }, options);
    }
    const known = this.#remembered.known(path);
    const headers = known === undefined ? {} : { "If-None-Match": known.etag };
    const answer = await this.#fresh(() => this.#http.send(this.#reading(path, {}, options, headers)));
    return this.#remembered.body(path, known, answer);
  }

  /** The user's projects, page by page. */
  projects(filter: ProjectFilter = {}, options: QueryOptions = {}): Pages<Project> {
    return this.#list("projects", "projects", filter, options);
  }

  /** The user's projects as they were, all at once. */
  async projectsAt(at: string | number, options: QueryOptions = {}): Promise<Project[]> {
    const { projects } = await this.#query<{ projects: Project[] }>("projects", { at }, options);
    return projects;
  }

  /** One session as it is, or was. */
  session(id: string, options: PastOptions = {}): Promise<Session> {
    return this.#query(`sessions/${encodeURIComponent(id)}`, { at: options.at }, options);
  }

  /** The user's sessions. */
  sessions(filter: SessionFilter = {}, options: QueryOptions = {}): Pages<ListedSession> {
    return this.#list("sessions", "sessions", filter, options);
  }

  /** The containers of the user's projects. */
  containers(filter: ContainerFilter = {}, options: QueryOptions = {}): Pages<Container> {
    return this.#list("containers", "containers", filter, options);
  }

  /** The user's workspaces. */
  workspaces(filter: WorkspaceFilter = {}, options: QueryOptions = {}): Pages<Workspace> {
    return this.#list("workspaces", "workspaces", filter, options);
  }

  /** What happened to the user's projects on each day, counted. */
  activity(filter: ActivityFilter = {}, options: QueryOptions = {}): Pages<Activity> {
    return this.#list("activity", "activity", filter, options);
  }

  /** What happened: of the user, of a project or session, or of what else the filter names. */
  history(filter: HistoryFilter = {}, options: QueryOptions = {}): Pages<HistoryEntry> {
    const onward = filter.order === "newest" ? "before" : "after";
    return new Pages(async (next) => {
      const query = { ...filter, [onward]: next };
      const page = await this.#query<{ events: HistoryEntry[]; next: number | null }>("history", query, options);
      return { items: page.events, next: page.next };
    });
  }

  /** What is different in a project between two moments, and what happened in between. */
  compare(key: string, from: string | number, to?: string | number, options: QueryOptions = {}): Promise<ProjectDiff> {
    return this.#query(of(key, "history/diff"), { from, to }, options);
  }

  /** How far the read models are. */
  projections(options: QueryOptions = {}): Promise<Projections> {
    return this.#query("projections", {}, options);
  }

  /** Follows what happens to the user's projects, or to what the scope names, until it is closed. */
  follow(scope: Scope | Record<string, never> = {}, options: FollowOptions = {}): Following {
    return new Following(this.#http, this.#webSocket, scope, options);
  }

  async #command<Body extends { position: number }>(
    path: string,
    body: object,
    options: CommandOptions,
    token?: string,
  ): Promise<Body> {
    const headers: Record<string, string> = { "Idempotency-Key": options.idempotencyKey ?? randomKey() };
    if (options.ifRevision !== undefined) {
      headers["If-Match"] = `"rev-${options.ifRevision}"`;
    }
    const request: Request = { method: "POST", path, body, headers, signal: options.signal, token };
    const decision = await this.#http.body<Body>(request);
    this.#position = Math.max(this.#position, decision.position);
    return decision;
  }

  #query<Body>(path: string, query: object, options: QueryOptions): Promise<Body> {
    return this.#fresh(() => this.#http.body(this.#reading(path, query, options)));
  }

  /** Reads at the position of this client's own commands, unless the log is another one by now. */
  async #fresh<Read>(read: () => Promise<Read>): Promise<Read> {
    try {
      return await read();
    } catch (error) {
      if (this.#position === 0 || !(error instanceof FireflyProblem) || error.code !== "position-unknown") {
        throw error;
      }
      this.#position = 0;
      return read();
    }
  }

  #list<Item>(path: string, items: string, filter: object, options: QueryOptions): Pages<Item> {
    return new Pages(async (cursor) => {
      const page = await this.#query<Record<string, unknown>>(path, { ...filter, cursor }, options);
      return { items: page[items], next: page["next"] } as Page<Item>;
    });
  }

  #reading(path: string, query: object, options: QueryOptions, known: Record<string, string> = {}): Request {
    const position = Math.max(this.#position, options.minPosition ?? 0);
    const headers = { ...known };
    if (position > 0) {
      headers["Firefly-Min-Position"] = String(position);
      headers["Prefer"] = `wait=${WAIT_SECONDS}`;
    }
    return { path, query: { ...query }, headers, signal: options.signal };
  }
}

/** A key that nobody else has. Browsers make UUIDs only on pages that came over HTTPS or from this very machine. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The path of a project, or of something below it. */
function of(key: string, rest?: string): string {
  const names = key.split("/").map(encodeURIComponent);
  return ["projects", ...names, ...(rest === undefined ? [] : [rest])].join("/");
}
