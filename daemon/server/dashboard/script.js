// Asks for the page again and again and takes over what has changed in it: nothing is rendered
// here, so that a page looks the same without this script.
"use strict";

const PERIOD_MS = 2000;
const PATIENCE_MS = 5000;

const live = document.getElementById("live");
const status = document.getElementById("status");
const pause = document.getElementById("pause");
let paused = false;
let failed = false;

// Makes `old` like `next` and keeps what is alike, so that focus, selection, scroll positions and
// opened details stay. What has data-own belongs to this script.
function patch(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) {
    old.replaceWith(document.importNode(next, true));
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
  } else if (!old.hasAttribute("data-own")) {
    patchAttributes(old, next);
    patchChildren(old, next);
  }
}

function patchAttributes(old, next) {
  for (const {name} of [...old.attributes]) {
    if (name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const {name, value} of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function patchChildren(old, next) {
  const had = [...old.childNodes];
  const wanted = [...next.childNodes];
  wanted.forEach((child, i) => {
    if (i < had.length) patch(had[i], child);
    else old.append(document.importNode(child, true));
  });
  had.slice(wanted.length).forEach((child) => child.remove());
}

async function fetchText(path) {
  const response = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.text();
}

async function refresh() {
  const text = await fetchText("/");
  if (paused) return;  // while it was on its way
  const page = new DOMParser().parseFromString(text, "text/html");
  if (page.body.dataset.version !== document.body.dataset.version) location.reload();
  patch(live, page.getElementById("live"));
}

// Said once, when it changes: a screen reader reads it out.
function show() {
  const text = failed ? `No answer since ${document.getElementById("time").textContent} UTC`
             : paused ? "Paused" : "Live";
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle("bad", failed);
  pause.textContent = paused ? "Resume" : "Pause";
}

async function tick() {
  if (!paused && !document.hidden) {
    failed = await refresh().then(() => false, () => true);
    show();
  }
  setTimeout(tick, PERIOD_MS);
}

const indented = (json) => JSON.stringify(JSON.parse(json), null, 2);

async function fillConfig(details) {
  const text = details.querySelector("pre");
  text.hidden = false;
  text.textContent = await fetchText("/config").then(indented).catch(String);
}

pause.addEventListener("click", () => {
  paused = !paused;
  show();
});
pause.hidden = false;

const config = document.getElementById("config-details");
if (config) config.addEventListener("toggle", () => config.open && fillConfig(config));

show();
setTimeout(tick, PERIOD_MS);
