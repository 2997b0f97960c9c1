// One project's card. It is made once and then changed in place, so that focus and open details stay.

import { History, duration } from "/history.js";

const STEPS = ["container", "source", "install", "preview"];
const STEP_NAMES = { container: "the container", source: "the files", install: "the packages", preview: "the preview" };
const BUTTONS = {
  open: ["closed", "paused"],
  restart: ["ready", "paused", "waking", "failed"],
  close: ["opening", "ready", "paused", "waking", "failed"],
  delete: ["opening", "ready", "paused", "waking", "failed", "closing", "closed"],
};
const AWAKE_OR_ASLEEP = ["ready", "paused", "waking"];
const CLOSED_BECAUSE = {
  crashed: "Its container ended unexpectedly.",
  idle: "Nobody had used it for long. A visit to its preview wakes it.",
  "memory-wanted": "Nobody used it, and memory was short. A visit to its preview wakes it.",
};

export class Card {
  #parts = {};
  #history;
  #actions;
  #progress = null;

  /** `actions` holds one function for each button, and `history`; each takes the project's view. */
  constructor(view, actions) {
    this.#actions = actions;
    this.root = document.getElementById("card").content.cloneNode(true).firstElementChild;
    for (const part of this.root.querySelectorAll("[data-part]")) {
      this.#parts[part.dataset.part] = part;
    }
    for (const button of this.root.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => this.#act(button));
    }
    this.#history = new History(this.#parts.events, this.#parts["history-note"], () => actions.history(this.view));
    this.#parts.history.addEventListener("toggle", async () => {
      if (this.#parts.history.open) {
        await this.#history.load();
        this.#showSteps();
      }
    });
    this.show(view);
  }

  /** Draws a newer state of the project. */
  show(view) {
    const opening = view.state === "opening";
    if (!opening || view.generation !== this.view?.generation || view.step !== this.view?.step) {
      this.#progress = null;
    }
    this.view = view;
    const focused = document.activeElement;
    this.root.dataset.state = view.state;
    this.#parts.name.textContent = `${view.owner}/${view.repo}`;
    const branch = view.branch ? ` · ${view.branch}` : "";
    this.#parts.origin.textContent = `${view.source}${branch} · for ${view.user}`;
    this.#parts.state.textContent = view.state;
    this.#showFailure();
    this.#showRemark();
    this.#showButtons();
    this.#showSteps();
    this.#showProgress();
    if (focused?.hidden && this.root.contains(focused)) {
      this.root.focus();
    }
  }

  /** Takes in one event as it happens. */
  record(event) {
    if (event) {
      this.#history.add(event);
      this.#showSteps();
    }
  }

  /** Takes in how far a step has come. */
  progress(message) {
    if (message.generation === this.view.generation && this.view.state === "opening") {
      this.#progress = message;
      this.#showProgress();
    }
  }

  openHistory() {
    this.#parts.history.open = true;
  }

  reloadHistory() {
    if (this.#parts.history.open) {
      this.#history.load();
    }
  }

  #showFailure() {
    const { failure } = this.view;
    this.#parts.failure.hidden = !failure;
    if (failure) {
      this.#parts["failure-title"].textContent = `Stopped at ${STEP_NAMES[failure.step] ?? failure.step} (${failure.code})`;
      this.#parts["failure-detail"].textContent = failure.detail;
    }
  }

  #showRemark() {
    const { state, unsaved, closed_reason: reason } = this.view;
    const remarks = [];
    if (state === "closed" && CLOSED_BECAUSE[reason]) {
      remarks.push(CLOSED_BECAUSE[reason]);
    }
    if (state === "paused") {
      remarks.push("Nobody uses it at the moment. A visit to its preview wakes it.");
    }
    if (unsaved && (unsaved.files > 0 || unsaved.commits > 0)) {
      const counts = [plural(unsaved.files, "changed file"), plural(unsaved.commits, "unpushed commit")];
      remarks.push(`Only here: ${counts.filter(Boolean).join(" and ")}.`);
    }
    this.#parts.remark.textContent = remarks.join(" ");
    this.#parts.remark.hidden = remarks.length === 0;
  }

  #showButtons() {
    const { state, owner, repo, preview_url: url } = this.view;
    const preview = this.#parts.preview;
    preview.hidden = !AWAKE_OR_ASLEEP.includes(state) || !/^https?:/.test(url);
    preview.href = preview.hidden ? "#" : url;
    preview.ariaLabel = `Preview ${owner}/${repo}, in a new tab`;
    for (const button of this.root.querySelectorAll("[data-action]")) {
      const { action } = button.dataset;
      button.hidden = !BUTTONS[action].includes(state);
      button.ariaLabel = `${button.textContent} ${owner}/${repo}`;
    }
  }

  #showSteps() {
    const { state, step, failure, generation } = this.view;
    const durations = this.#history.durations(generation);
    const at = STEPS.indexOf(failure?.step ?? step);
    const served = AWAKE_OR_ASLEEP.includes(state);
    this.#parts.steps.hidden = !served && !["opening", "failed"].includes(state);
    STEPS.forEach((name, index) => {
      const item = this.#parts.steps.querySelector(`[data-step=${name}]`);
      const done = served || index < at;
      const here = index === at && !served;
      item.dataset.state = done ? "done" : !here ? "waiting" : state === "failed" ? "failed" : "active";
      item.ariaCurrent = here && state === "opening" ? "step" : null;
      const took = durations[name] === undefined ? "" : duration(durations[name]);
      // The event that ends the last step tells how long the whole opening took.
      item.querySelector(".step-note").textContent = took && name === "preview" ? `${took} in all` : took;
    });
  }

  #showProgress() {
    const { state, step } = this.view;
    const { bar } = this.#parts;
    const message = this.#progress;
    this.#parts.progress.hidden = state !== "opening";
    if (message?.total > 0) {
      bar.max = message.total;
      bar.value = Math.min(message.done, message.total);
    } else {
      bar.removeAttribute("value");
    }
    const count = message?.total > 0 ? `${message.done} of ${message.total}` : message?.done > 0 ? `${message.done}` : "";
    const waiting = step ? `Working on ${STEP_NAMES[step] ?? step}` : "Waiting for a container";
    this.#parts["progress-text"].textContent = [message?.text || waiting, count].filter(Boolean).join(" · ");
  }

  async #act(button) {
    if (button.ariaBusy === "true") {
      return;
    }
    const { refusal } = this.#parts;
    button.ariaBusy = "true";
    refusal.hidden = true;
    try {
      await this.#actions[button.dataset.action](this.view);
    } catch (error) {
      refusal.textContent = error.message;
      refusal.hidden = false;
    } finally {
      button.ariaBusy = "false";
    }
  }
}

function plural(count, noun) {
  return count > 0 ? `${count} ${noun}${count === 1 ? "" : "s"}` : "";
}
