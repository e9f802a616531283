// A calendar of the dates, coloured by how complete they are; a date opens what it lacks.

import { $, choice, el, facts, fill, show } from "./dom.js";
import { count, dayOf, many, tomorrow } from "./format.js";
import { Asker, calmly } from "./ask.js";
import * as chart from "./chart.js";
import * as movers from "./movers.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const asker = new Asker();

let dates = new Map();
let kept = false;
let year = null;

export const load = calmly(async () => {
  const told = await asker.ask("dates");
  if (!told) return;
  kept = told.kept;
  dates = new Map(told.dates.map((one) => [one.date, one]));
  draw();
}, 5000);

export function batch(told) {
  if (told.dates.first) load();
}

/** 4: complete, then less and less. */
function level(one) {
  if (one.state === "no-session") return "odd";
  if (!one.missing) return 4;
  const share = one.tickers / Math.max(one.expected, 1);
  return share >= 0.99 ? 3 : share >= 0.9 ? 2 : share > 0 ? 1 : 0;
}

function draw() {
  const years = [...new Set([...dates.keys()].map((date) => date.slice(0, 4)))];
  if (!years.length) {
    fill($("calendar-body"), el("p", { class: "note" }, "No date has a price yet."));
    return;
  }
  if (!years.includes(year)) year = years.findLast((one) => one <= dayOf(tomorrow()).slice(0, 4)) ?? years.at(-1);
  const at = years.indexOf(year);
  const shown = [[years[at - 1], "‹", "The year before"], [year, year], [years[at + 1], "›", "The year after"]];
  choice($("calendar-years"), shown, year, (chosen) => {
    if (!chosen) return;
    year = chosen;
    draw();
  });
  const ofYear = [...dates.values()].filter((one) => one.date.startsWith(year));
  const weekend = ofYear.some((one) => weekday(one.date) > 4);
  const focused = document.activeElement?.dataset?.date;
  fill($("calendar-body"), grid(weekend ? 7 : 5), key());
  if (focused) document.querySelector(`[data-date="${focused}"]`)?.focus();
  const lacking = ofYear.filter((one) => one.missing > 0);
  const cells = lacking.reduce((sum, one) => sum + one.missing, 0);
  const told = lacking.length ? `${many(lacking.length, "date")} ${lacking.length === 1 ? "lacks" : "lack"} ${many(cells, "price")}` : "no price is missing";
  const measure = kept ? "" : " A date is measured by the largest of the six dates before it.";
  fill($("calendar-note"), `${year}: ${many(ofYear.length, "date")}, ${told}.${measure}`);
}

const weekday = (date) => (new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7;

function grid(rows) {
  const made = el("div", { class: "days", role: "group", "aria-label": `Dates of ${year}` });
  const first = Date.parse(`${year}-01-01T00:00:00Z`);
  const offset = weekday(`${year}-01-01`);
  DAYS.slice(0, rows).forEach((name, row) => made.append(place(el("span", { class: "label" }, row % 2 ? "" : name), row + 2, 1)));
  let month = -1;
  for (let day = 0; ; day += 1) {
    const when = new Date(first + day * 86400000);
    if (String(when.getUTCFullYear()) !== year) break;
    const [row, column] = [(day + offset) % 7, Math.floor((day + offset) / 7) + 2];
    if (when.getUTCMonth() !== month && when.getUTCDate() < 8) {
      month = when.getUTCMonth();
      made.append(place(el("span", { class: "label month" }, MONTHS[month]), 1, column));
    }
    if (row < rows) made.append(place(cell(when.toISOString().slice(0, 10)), row + 2, column));
  }
  made.addEventListener("keydown", move);
  const buttons = made.querySelectorAll("button");
  buttons[buttons.length - 1]?.setAttribute("tabindex", "0");
  return el("div", { class: "scroll-x" }, made);
}

function cell(date) {
  const one = dates.get(date);
  if (!one) return el("i", { class: "day" });
  const said = `${date}${one.state === "no-session" ? ", no session" : ""}: ${count(one.tickers)} of ${many(one.expected, "ticker")}`;
  return el("button", {
    type: "button",
    class: "day",
    tabindex: "-1",
    "data-date": date,
    "data-level": level(one),
    "data-restated": one.restated_cells > 0,
    title: said,
    "aria-label": said,
    onclick: () => open(one),
  });
}

function place(element, row, column) {
  element.style.gridRow = row;
  element.style.gridColumn = column;
  return element;
}

/** Arrow keys go to the nearest date in that direction. */
function move(event) {
  const step = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 }[event.key];
  const from = event.target.dataset?.date;
  if (!step || !from) return;
  event.preventDefault();
  let when = Date.parse(`${from}T00:00:00Z`);
  for (let tries = 0; tries < 60; tries += 1) {
    when += step * 86400000;
    const found = document.querySelector(`[data-date="${new Date(when).toISOString().slice(0, 10)}"]`);
    if (found) {
      event.target.setAttribute("tabindex", "-1");
      found.setAttribute("tabindex", "0");
      found.focus();
      return;
    }
  }
}

function key() {
  const names = ["nothing", "some", "90 %", "99 %", "complete"];
  const all = [...dates.values()];
  const sign = (name, of, restated = false) =>
    el("span", {}, el("i", { class: "day", "data-level": of, "data-restated": restated }), name);
  return el(
    "div",
    { class: "key", "aria-hidden": "true" },
    names.map((name, at) => sign(name, at)),
    all.some((one) => level(one) === "odd") && sign("no session", "odd"),
    all.some((one) => one.restated_cells > 0) && sign("corrected", 4, true),
  );
}

async function open(one) {
  const told = await new Asker().ask("missing", { date: one.date });
  if (!told) return;
  const pick = (ticker) => el("button", { type: "button", class: "chip", onclick: () => chart.add(ticker) }, ticker);
  show(
    one.date,
    facts([
      ["tickers", `${count(one.tickers)} of ${count(one.expected)} expected`],
      ["missing", count(told.count)],
      ["late cells", one.late_cells ? count(one.late_cells) : null],
      ["corrected cells", one.restated_cells ? count(one.restated_cells) : null],
    ]),
    el("p", {}, el("button", { type: "button", class: "further", onclick: () => movers.ofDay(one.date) }, "Show its movers")),
    told.count > 0 && el("h3", {}, "Expected, but without a price"),
    el("div", { class: "chips", id: "missing" }, told.tickers.map(pick)),
    told.count > told.tickers.length && el("p", { class: "note" }, `The first ${count(told.tickers.length)} are shown.`),
  );
}
