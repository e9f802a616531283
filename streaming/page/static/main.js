// Puts the panels together, and hands each one what the server pushes.

import { $, close, fill } from "./dom.js";
import * as calendar from "./calendar.js";
import * as chart from "./chart.js";
import * as connect from "./connect.js";
import * as drops from "./drops.js";
import * as movers from "./movers.js";
import * as strip from "./strip.js";
import * as suspects from "./suspects.js";

const later = [movers, calendar, suspects];
const panels = [chart, drops, ...later];
const LATER_MS = 250;

let lost = null;
let away = null;
let begun = false;

function banner() {
  const said = lost ?? (away && `The database is away: ${away}. What is shown is from before; it goes on by itself.`);
  $("banner").hidden = !said;
  fill($("banner"), said ?? "");
  document.documentElement.classList.toggle("stale", Boolean(said));
}

function reload() {
  for (const panel of panels) panel.load();
}

function follow() {
  const source = new EventSource("/events");
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("hello", (told) => {
    const back = lost !== null || (away !== null && told.away === null);
    lost = null;
    away = told.away;
    banner();
    strip.show(told.strip);
    if (begun && back) reload();
    begun = true;
  });
  on("batch", (told) => {
    strip.show(told.strip);
    drops.batch(told);
    chart.batch(told);
    later.forEach((panel) => setTimeout(() => panel.batch(told), LATER_MS)); // the chart comes first
  });
  on("strip", (told) => strip.show(told));
  on("database", (told) => {
    away = told.away;
    banner();
    strip.show(told.strip);
    if (away === null) reload();
  });
  on("reload", reload);
  source.onerror = () => {
    lost = "The page has lost its server. Is `stocketl page` still running? It looks again by itself.";
    banner();
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(follow, 2000);
    }
  };
}

$("dialog-close").addEventListener("click", close);
$("dialog").addEventListener("click", (event) => {
  if (event.target === $("dialog")) close();
});
follow();
reload();
connect.load();
