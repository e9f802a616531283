// The strip at the top: job, drops, newest date, how long a drop takes until it can be seen.

import { $, el, fill } from "./dom.js";
import { bytes, count, duration, many, moment, none, since } from "./format.js";

const WORDS = {
  running: "running",
  idle: "idle",
  silent: "no sign of life",
  "not-running": "NOT running",
  unknown: "not known",
};

let last = null;

export function show(told) {
  last = told;
  draw();
}

setInterval(draw, 1000);

function draw() {
  if (!last) {
    fill($("strip"), el("div", { class: "item" }, el("span", { class: "name" }, "Job"), el("span", { class: "value" }, "…")));
    return;
  }
  const { job, counts } = last;
  $("strip").dataset.state = job.state;
  fill(
    $("strip"),
    item("Job", el("span", { class: "state", "data-state": job.state, id: "job" }, WORDS[job.state] ?? job.state), about(job)),
    item("Waiting", el("b", { id: "waiting" }, count(counts.waiting))),
    item("Loaded", el("b", { id: "loaded" }, count(counts.success))),
    item("Failed", el("b", { id: "failed", class: counts.failed ? "bad" : "" }, count(counts.failed))),
    item("Newest date", el("b", { id: "newest" }, last.newest_date ?? none), `${many(last.tickers, "ticker")} in all`),
    item("Drop to visible", visible(last.visible), sparkline(last.visible.seconds)),
    loading(),
    last.look_at.length > 0 && el("ul", { class: "look" }, last.look_at.map((sentence) => el("li", {}, sentence))),
  );
}

function item(name, value, more = null) {
  const about = more === null ? null : more instanceof Node ? more : el("span", { class: "more" }, more);
  return el("div", { class: "item" }, el("span", { class: "name" }, name), el("span", { class: "value" }, value), about);
}

function about(job) {
  const ago = job.since ? duration(since(job.since)) : null;
  if (job.state === "running") return ago && `since ${ago}`;
  if (job.state === "idle") return ago && `for ${ago}`;
  return ago ? `since ${moment(job.since)}` : job.why;
}

function visible(told) {
  return el("b", { id: "visible", title: "Median of the last 50 batches" }, duration(told.median));
}

function sparkline(seconds) {
  if (seconds.length < 2) return null;
  const top = Math.max(...seconds) || 1;
  const [width, height, ns] = [72, 16, "http://www.w3.org/2000/svg"];
  const points = seconds.map((value, at) => `${(at / (seconds.length - 1)) * width},${height - 1 - (value / top) * (height - 2)}`);
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `The last ${seconds.length} batches, at most ${duration(top)}`);
  const line = document.createElementNS(ns, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function loading() {
  const bars = last.loading.map((drop) =>
    el(
      "div",
      { class: "loading" },
      el("span", {}, drop.key),
      el("progress", { max: drop.size || 1, value: drop.done ?? 0, "aria-label": `Loading ${drop.key}` }),
      el("span", { class: "more" }, `${bytes(drop.done)} of ${bytes(drop.size)}`),
    ),
  );
  const batch = last.under_way;
  if (batch && bars.length === 0) {
    const names = batch.first_keys.join(", ") + (batch.drops > batch.first_keys.length ? " …" : "");
    bars.push(el("div", { class: "loading" }, el("span", {}, names), el("progress", { "aria-label": "Loading" })));
  }
  return bars;
}
