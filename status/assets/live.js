// Keeps the page as it would be if it were loaded again. The server says that something changed; the same address is
// fetched, and only what differs is exchanged, so that focus, scrolling, selections and opened details stay. Without
// this script the page is complete, and stands still.
"use strict";

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

// ago puts a moment in relation to now: "12 s ago", "in 40 s", "3 d ago".
function ago(when, now) {
  const gap = Math.abs(now - when);
  let amount;
  if (gap < 100 * SECOND) amount = Math.round(gap / SECOND) + " s";
  else if (gap < 100 * MINUTE) amount = Math.round(gap / MINUTE) + " min";
  else if (gap < 48 * HOUR) amount = Math.round(gap / HOUR) + " h";
  else amount = Math.round(gap / DAY) + " d";
  if (gap < 2 * SECOND) return "now";
  return when > now ? "in " + amount : amount + " ago";
}

// tellTime writes every moment in a tree relative to now; the title keeps the absolute one.
function tellTime(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const when = Date.parse(time.dateTime);
    const text = time.hasAttribute("data-due") && when <= now ? "due" : ago(when, now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// prepare does to a freshly loaded tree what was done to the one that is shown.
function prepare(root) {
  tellTime(root);
  for (const button of root.querySelectorAll("button[data-follow]")) button.hidden = false;
}

// morph makes one element like another of the same name, by the fewest changes.
function morph(from, to) {
  if (from.hasAttribute("data-keep") || from.isEqualNode(to)) return;
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    // What is opened and closed is the reader's.
    if (from.getAttribute(name) !== value && name !== "open") from.setAttribute(name, value);
  }
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const byId = new Map();
  for (const child of from.children) if (child.id) byId.set(child.id, child);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const match = counterpart(next, at, byId);
    if (!match) {
      from.insertBefore(document.importNode(next, true), at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else from.insertBefore(match, at);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, next);
    else if (match.nodeValue !== next.nodeValue) match.nodeValue = next.nodeValue;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// counterpart finds what a new node replaces: the element with its id, or what stands in its place.
function counterpart(next, at, byId) {
  if (next.id) {
    const match = byId.get(next.id);
    return match && match.nodeName === next.nodeName ? match : null;
  }
  return at && at.nodeName === next.nodeName && !at.id ? at : null;
}

let tag = null; // of the page that is shown
let running = null; // the refresh under way
let again = false; // something changed meanwhile
let waiting = false; // for the end of a selection, with something new

// refresh loads the address of the page and shows what is new.
function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = load().catch(() => connected(false)).finally(() => {
    running = null;
    if (again) {
      again = false;
      refresh();
    }
  });
}

async function load() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (response.status >= 500) throw new Error(response.statusText);
  connected(true);
  const fresh = response.headers.get("ETag");
  if (fresh && fresh === tag) return;
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  waiting = selecting(); // an exchange might take away what the reader is marking
  if (waiting) return;
  tag = fresh;
  prepare(next);
  document.title = next.title;
  for (const name of ["main", "footer"]) {
    const from = document.querySelector(name), to = next.querySelector(name);
    if (from && to) morph(from, to);
  }
}

// selecting reports whether the reader has marked text.
function selecting() {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed;
}

const live = document.getElementById("live");

function connected(yes) {
  live.hidden = false;
  live.classList.toggle("lost", !yes);
  const text = yes ? "Live" : "Not connected, trying again";
  if (live.textContent !== text) live.textContent = text;
}

// A page that nobody looks at holds no connection: browsers allow six to a server.
let events = null;

function watch() {
  if (document.hidden) {
    if (events) events.close();
    events = null;
    return;
  }
  if (events) return;
  events = new EventSource("/api/v1/watch");
  events.addEventListener("change", refresh);
  events.addEventListener("open", () => connected(true));
  events.addEventListener("error", () => {
    connected(false);
    // The browser gives up after an answer that is no stream, as of a daemon that is just starting.
    if (events && events.readyState === EventSource.CLOSED) {
      events = null;
      setTimeout(watch, 5 * SECOND);
    }
  });
}

// narrow follows the filter's form while it is used, and keeps the address in step, so that it can be shared.
function narrow(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  const text = query.toString();
  history.replaceState(null, "", text ? "/?" + text : "/");
  refresh();
}

let pause = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form#filter");
  if (!form) return;
  clearTimeout(pause);
  pause = setTimeout(narrow, 150, form);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "filter") return;
  event.preventDefault();
  narrow(event.target);
});

// Logs. Following streams into the box, of which the last lines are kept.
const KEPT = 5000;
const COLOURS = /\x1b\[[0-9;:]*m/g;
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const followed = new Map();

// shown is what the server does to the log that it sends with the page.
function shown(text) {
  return text.replace(COLOURS, "").replaceAll("\r\n", "\n").replace(UNSEEN, "\ufffd");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-follow]");
  if (!button) return;
  const box = document.getElementById(button.dataset.follow);
  if (followed.has(box)) followed.get(box).abort();
  else follow(box, button);
});

async function follow(box, button) {
  const abort = new AbortController();
  followed.set(box, abort);
  box.closest("section").setAttribute("data-keep", "");
  button.textContent = "Stop";
  try {
    const response = await fetch(box.dataset.path + "&follow=true&tailLines=200", { signal: abort.signal });
    if (!response.ok) throw new Error((await response.json()).error);
    box.textContent = "";
    await show(response.body.pipeThrough(new TextDecoderStream()).getReader(), box);
  } catch (err) {
    if (!abort.signal.aborted) box.append("\n" + err.message);
  }
  followed.delete(box);
  box.closest("section").removeAttribute("data-keep");
  button.textContent = "Follow";
}

async function show(reader, box) {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
    const lines = (box.textContent + shown(value)).split("\n");
    box.textContent = lines.slice(-KEPT).join("\n");
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}

prepare(document);
for (const box of document.querySelectorAll(".log")) box.scrollTop = box.scrollHeight;
setInterval(tellTime, 10 * SECOND, document);
document.addEventListener("visibilitychange", watch);
document.addEventListener("selectionchange", () => {
  if (waiting && !selecting()) refresh();
});
watch();
