// The movers of a day.

import { $, choice, el, fill, table } from "./dom.js";
import { many, percent, price } from "./format.js";
import { Asker, calmly } from "./ask.js";
import * as chart from "./chart.js";

const asker = new Asker();
let day = null; // null: the newest one

export const load = calmly(async () => {
  const told = await asker.ask("movers", { date: day });
  if (told) draw(told);
});

export function batch() {
  load();
}

export function ofDay(date) {
  day = date;
  load();
}

function draw(told) {
  const go = (date) => () => ofDay(date);
  choice(
    $("movers-day"),
    [["before", "‹", "The date before"], ["day", told.date ?? "no data"], ["after", "›", "The date after"]],
    "day",
    (where) => {
      if (where === "before" && told.before) go(told.before)();
      if (where === "after") go(told.after)();
      if (where === "day") go(null)();
    },
  );
  if (!told.count) {
    fill($("movers-body"), el("p", { class: "note" }, "No ticker has a return on this date."));
    return;
  }
  const top = Math.max(...[...told.up, ...told.down].map((mover) => Math.abs(mover.return)), 1e-9);
  fill(
    $("movers-body"),
    el("div", { class: "movers" }, side(told.up, "up", top), side(told.down, "down", top)),
    el("p", { class: "note" }, `${many(told.count, "ticker")} ${told.count === 1 ? "has" : "have"} a return on this date.`),
  );
}

function side(movers, kind, top) {
  const columns = [["ticker", "name"], [kind === "up" ? "up" : "down", "number"], ["price", "number"]];
  const rows = movers.map((mover) => [
    mover.id,
    el("span", { class: kind }, percent(mover.return), bar(mover, kind, top)),
    price(mover.price),
  ]);
  return table(columns, rows, (at) => chart.add(movers[at].id), (row) => `Show ${row[0]} in the chart`);
}

function bar(mover, kind, top) {
  const meter = el("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  meter.style.width = `${Math.max(2, (100 * Math.abs(mover.return)) / top)}%`;
  return meter;
}
