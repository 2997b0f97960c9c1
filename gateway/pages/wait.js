// Asks for this page's own address until the answer is another one than the page stands for, then loads it anew.
"use strict";

const INTERVAL_MS = 1000;
const code = document.body.dataset.waitsDuring;

function show(id, text) {
  const element = document.getElementById(id);
  if (element && text && element.textContent !== text) {
    element.textContent = text;
  }
}

async function look() {
  let response;
  try {
    response = await fetch(location.href, {
      cache: "no-store",
      headers: { Accept: "application/problem+json" },
    });
  } catch {
    // The gateway itself is away for a moment.
    return false;
  }
  if (!(response.headers.get("Content-Type") || "").startsWith("application/problem+json")) {
    response.body?.cancel();
    return true;
  }
  const problem = await response.json().catch(() => null);
  if (!problem || problem.code !== code) {
    return true;
  }
  const [text, ...facts] = problem.detail.split("\n");
  show("text", text);
  for (const fact of facts) {
    const [label, value] = fact.split(": ");
    show(label, value);
  }
  return false;
}

async function wait() {
  if (await look()) {
    location.reload();
  } else {
    setTimeout(wait, INTERVAL_MS);
  }
}

setTimeout(wait, INTERVAL_MS);
