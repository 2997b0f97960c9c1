// A project's history: its events in their order, and what they tell about how long each step took.

// Older events are left to the API; a browser need not hold a project's whole life.
const EVENTS_MAX = 500;

const STEP_OF = {
  ContainerStarted: "container",
  RepositoryCloned: "source",
  TemplateApplied: "source",
  WorkspaceResumed: "source",
  DependenciesInstalled: "install",
  ProjectReady: "preview",
};

/** A span of time in words: `0.4 s`, `12 s`, `2 min 5 s`. */
export function duration(ms) {
  if (ms < 10_000) {
    return `${(ms / 1000).toFixed(1)} s`;
  }
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export class History {
  #list;
  #note;
  #fetch;
  #durations = new Map();

  /** Draws into `list` and `note`; `fetch` gets the history so far. */
  constructor(list, note, fetch) {
    this.#list = list;
    this.#note = note;
    this.#fetch = fetch;
  }

  /** Gets what happened so far. */
  async load() {
    if (!this.#list.hasChildNodes()) {
      this.#note.textContent = "Loading…";
    }
    try {
      const { events } = await this.#fetch();
      events.slice(-EVENTS_MAX).forEach((event) => this.add(event));
      this.#note.textContent = this.#list.hasChildNodes() ? "" : "Nothing has happened yet.";
    } catch (error) {
      this.#note.textContent = error.message;
    }
  }

  /** Adds one event, in its place; one that is there already changes nothing. */
  add(event) {
    if (this.#list.querySelector(`[data-position="${Number(event.position)}"]`)) {
      return;
    }
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    const after = [...this.#list.children].find((other) => Number(other.dataset.position) > event.position);
    this.#list.insertBefore(row(event), after ?? null);
    while (this.#list.childElementCount > EVENTS_MAX) {
      this.#list.firstElementChild.remove();
    }
    this.#note.textContent = "";
    if (atEnd) {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
    this.#learn(event);
  }

  /** Milliseconds of each step of a generation, as far as its events were seen. */
  durations(generation) {
    return this.#durations.get(generation) ?? {};
  }

  #learn({ type, data }) {
    const step = STEP_OF[type];
    if (step && typeof data?.duration_ms === "number") {
      const known = this.#durations.get(data.generation);
      this.#durations.set(data.generation, { ...known, [step]: data.duration_ms });
    }
  }
}

function row(event) {
  const item = document.getElementById("event").content.cloneNode(true).firstElementChild;
  const when = new Date(event.recorded_at);
  const time = item.querySelector("time");
  item.dataset.position = Number(event.position);
  item.classList.toggle("bad", /Failed$/.test(event.type));
  time.dateTime = event.recorded_at;
  time.textContent = when.toLocaleTimeString([], { hourCycle: "h23" });
  time.title = when.toLocaleString();
  item.querySelector(".summary").textContent = event.summary;
  item.querySelector(".about").textContent = `${event.type} · by ${event.actor} · position ${event.position}`;
  if (typeof event.data?.duration_ms === "number") {
    item.querySelector(".duration").textContent = duration(event.data.duration_ms);
  }
  return item;
}
