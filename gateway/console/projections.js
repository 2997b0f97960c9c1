// What the read models are up to, when there is something to say: one that stopped at an event, or a rebuild at work.

// Read models change seldom; a rebuild is watched.
const LOOK_MS = { quiet: 5_000, rebuilding: 1_000 };

export class Projections {
  #api;
  #place;
  #shown = new Map();

  /** `place` is a list that is hidden while there is nothing to say. */
  constructor(api, place) {
    this.#api = api;
    this.#place = place;
  }

  /** Looks for ever; while nobody sees the page, it does not ask. */
  async start() {
    for (;;) {
      const rebuilding = document.hidden ? false : await this.#look();
      await new Promise((resolve) => {
        setTimeout(resolve, rebuilding ? LOOK_MS.rebuilding : LOOK_MS.quiet);
      });
    }
  }

  async #look() {
    let answer;
    try {
      answer = await this.#api.get("/api/v1/projections");
    } catch {
      // That Firefly does not answer is shown elsewhere.
      return false;
    }
    const said = answer.projections.filter((build) => build.failed_event || isAtWork(build));
    this.#remove(new Set(said.map(id)));
    said.forEach((build) => this.#show(build, answer.head));
    this.#place.hidden = said.length === 0;
    return said.some((build) => isAtWork(build) && !build.failed_event);
  }

  #remove(kept) {
    for (const [key, item] of this.#shown) {
      if (!kept.has(key)) {
        item.remove();
        this.#shown.delete(key);
      }
    }
  }

  #show(build, head) {
    const state = build.failed_event ? "stopped" : "rebuilding";
    let item = this.#shown.get(id(build));
    if (item?.dataset.state !== state) {
      const made = document.getElementById(state).content.cloneNode(true).firstElementChild;
      made.dataset.projection = build.name;
      made.dataset.state = state;
      if (item) {
        item.replaceWith(made);
      } else {
        this.#place.append(made);
      }
      this.#shown.set(id(build), made);
      item = made;
    }
    const part = (name) => item.querySelector(`[data-part=${name}]`);
    if (state === "stopped") {
      const what = isAtWork(build) ? `The rebuild of “${build.name}”` : `“${build.name}”`;
      write(part("title"), `${what} stopped at the event at position ${build.failed_position}`);
      write(part("reason"), build.failure);
      write(part("event"), build.failed_event);
      write(part("retry"), `firefly projections retry ${build.name}`);
      write(part("skip"), `firefly projections skip ${build.name} --event ${build.failed_event} --reason "…"`);
    } else {
      const doing = build.status === "verifying" ? "is being compared with a rebuild" : "is being rebuilt";
      write(part("title"), `“${build.name}” ${doing}: ${build.position} of ${head}`);
      part("bar").max = Math.max(head, 1);
      part("bar").value = build.position;
      part("bar").ariaLabel = `Progress of the rebuild of ${build.name}`;
    }
  }
}

const id = (build) => `${build.name}/${build.build}`;
const isAtWork = (build) => build.status === "building" || build.status === "verifying";

// Writing the same again would make a screen reader say it again.
function write(place, text) {
  if (place.textContent !== text) {
    place.textContent = text;
  }
}
