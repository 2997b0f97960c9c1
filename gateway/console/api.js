// Requests to Firefly's API, in a session of this tab.

const TOKEN = "firefly.token";
const REQUEST_TIMEOUT_MS = 30_000;

/** A request that was refused or could not be made; `message` is for people, `code` for programs. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Api {
  #starting = null;

  /** The session's token; starts a session if there is none. */
  async token() {
    const known = sessionStorage.getItem(TOKEN);
    if (known) {
      return known;
    }
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  get(path) {
    return this.#authorized("GET", path);
  }

  post(path, body) {
    return this.#authorized("POST", path, body);
  }

  async #start() {
    const session = await send("POST", "/api/v1/sessions/start", { client: "console" });
    sessionStorage.setItem(TOKEN, session.token);
    return session.token;
  }

  async #authorized(method, path, body) {
    const token = await this.token();
    try {
      return await send(method, path, body, token);
    } catch (error) {
      if (error.status !== 401) {
        throw error;
      }
    }
    // Another request may have been refused before, and signed in anew since.
    if (sessionStorage.getItem(TOKEN) === token) {
      sessionStorage.removeItem(TOKEN);
    }
    return send(method, path, body, await this.token());
  }
}

async function send(method, path, body, token) {
  const headers = { Accept: "application/json" };
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  } catch {
    throw new Refusal(0, "no-answer", "Firefly does not answer. See whether it still runs, then try again.");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const text = answer?.detail || answer?.title || `Firefly answered with status ${response.status}.`;
    throw new Refusal(response.status, answer?.code ?? "unknown", sentence(text));
  }
  return answer;
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
