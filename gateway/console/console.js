// The console: what is open, and buttons to change it. This file holds the list together; a card draws one project.

import { Api, Refusal } from "/api.js";
import { Card } from "/card.js";
import { Live } from "/live.js";
import { Projections } from "/projections.js";

const COUNTED = ["ready", "paused", "opening", "failed", "closed"];

const element = (id) => document.getElementById(id);
const list = element("projects");
const cards = new Map();
const api = new Api();

// The project that was asked for and has no card yet. Cards are drawn from live messages alone: an answer to a command
// knows less of a project than they do.
let awaited = null;

function announce(text) {
  element("announcer").textContent = text;
}

function explain(place, error) {
  place.textContent = error ? error.message : "";
  place.hidden = !error;
}

// === the list ===

function summarize() {
  const states = [...cards.values()].map((card) => card.view.state);
  const counts = COUNTED.map((state) => [states.filter((other) => other === state).length, state])
    .filter(([count]) => count > 0)
    .map(([count, state]) => `${count} ${state}`);
  element("counts").textContent = cards.size === 0 ? "" : counts.join(", ");
  const open = counts.filter((count) => !count.endsWith("closed"));
  document.title = open.length > 0 ? `(${open.join(", ")}) Firefly` : "Firefly";
  element("empty").hidden = cards.size > 0;
}

/** Shows a project's card with its history, now or as soon as it has one. */
function reveal(key) {
  const card = cards.get(key);
  awaited = card ? null : key;
  card?.root.scrollIntoView({ block: "nearest" });
  card?.openHistory();
}

/** Draws a project's state, unless a newer one is drawn already; a snapshot is always the newest. */
function put(view, isNewest = false) {
  if (view.state === "deleted") {
    remove(view.key);
    return;
  }
  const card = cards.get(view.key);
  if (!card) {
    const made = new Card(view, actions);
    cards.set(view.key, made);
    list.prepend(made.root);
    if (view.key === awaited) {
      reveal(view.key);
    }
  } else if (isNewest || view.position >= card.view.position) {
    const before = card.view.state;
    card.show(view);
    if (before !== view.state) {
      announce(`${view.owner}/${view.repo} is ${view.state}`);
    }
  }
}

function remove(key) {
  const card = cards.get(key);
  if (!card) {
    return;
  }
  const hadFocus = card.root.contains(document.activeElement);
  card.root.remove();
  cards.delete(key);
  announce(`${card.view.owner}/${card.view.repo} is deleted`);
  if (hadFocus) {
    list.focus();
  }
}

function replaceAll(views) {
  const known = new Set(views.map((view) => view.key));
  for (const key of [...cards.keys()]) {
    if (!known.has(key)) {
      remove(key);
    }
  }
  const byOpening = [...views].sort((a, b) => (a.opened_at < b.opened_at ? -1 : 1));
  byOpening.forEach((view) => put(view, true));
  // Events of the time without a connection came to nobody.
  cards.forEach((card) => card.reloadHistory());
}

function receive(message) {
  switch (message.type) {
    case "snapshot":
      replaceAll(message.projects);
      break;
    case "change":
      put(message.project);
      cards.get(message.project.key)?.record(message.event);
      break;
    case "progress":
      cards.get(message.project)?.progress(message);
      break;
  }
  summarize();
}

// === what a person asks for ===

const path = (view, rest) => {
  const names = [view.user, view.owner, view.repo].map(encodeURIComponent).join("/");
  return `/api/v1/projects/${names}/${rest}`;
};

function confirmLoss(view, detail) {
  const dialog = element("confirm");
  element("confirm-text").textContent = `${view.owner}/${view.repo}: ${detail}`;
  return new Promise((resolve) => {
    let answer = "no";
    const choose = (event) => {
      answer = event.target.dataset.answer ?? answer;
      if (event.target.dataset.answer) {
        dialog.close();
      }
    };
    dialog.addEventListener("click", choose);
    dialog.addEventListener(
      "close",
      () => {
        dialog.removeEventListener("click", choose);
        resolve(answer === "yes");
      },
      { once: true },
    );
    dialog.showModal();
  });
}

const command = (view, name, body) => api.post(path(view, name), body);

const actions = {
  open: (view) => command(view, "open", {}),
  close: (view) => command(view, "close", {}),
  restart: (view) => command(view, "restart", {}),
  async delete(view) {
    try {
      await command(view, "delete", { force: false });
    } catch (error) {
      if (!(error instanceof Refusal && error.code === "unsaved-work")) {
        throw error;
      }
      if (await confirmLoss(view, error.message)) {
        await command(view, "delete", { force: true });
      }
    }
  },
  history: (view) => api.get(path(view, "history")),
};

element("open").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = element("source");
  const button = event.target.querySelector("button");
  const refusal = element("source-refusal");
  const source = input.value.trim();
  if (!source || button.ariaBusy === "true") {
    input.focus();
    return;
  }
  button.ariaBusy = "true";
  input.ariaInvalid = "false";
  explain(refusal, null);
  try {
    const answer = await api.post("/api/v1/projects/open", { source, branch: null });
    reveal(answer.project.key);
  } catch (error) {
    explain(refusal, error);
    input.ariaInvalid = "true";
    input.focus();
  } finally {
    button.ariaBusy = "false";
  }
});

const live = new Live(api, receive, (state) => {
  const connection = element("connection");
  if (connection.dataset.state !== state) {
    connection.dataset.state = state;
    connection.textContent = state;
  }
});
live.start();
new Projections(api, element("projections")).start();
