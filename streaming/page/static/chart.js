// The chart panel: which tickers, what of them, which dates. `plot.js` draws.

import { $, choice, close, el, facts, fill, show, table } from "./dom.js";
import { compact, count, dayOf, daysOf, moment, none, percent, price } from "./format.js";
import { Asker } from "./ask.js";
import { Plot } from "./plot.js";
import { receipt } from "./drops.js";
import { tickerBox } from "./ticker-box.js";

const MOST = 5;
const VIEWS = [["price", "Price"], ["return", "Return"], ["indexed", "Indexed"]];
const RANGES = [["1M", 31], ["6M", 183], ["1Y", 366], ["5Y", 1827], ["All", null]];
const [whole, part] = [new Asker(), new Asker()];

let tickers = [];
let view = "price";
let range = "All";
let data = { days: [], tickers: {}, corrections: {} };

const plot = new Plot($("plot"), { hover: legend, pick: explain, zoomed: () => { range = null; controls(); } });

function remember() {
  const query = new URLSearchParams(tickers.map((ticker) => ["t", ticker]));
  query.set("v", view);
  history.replaceState(null, "", `#${query}`);
}

function recall() {
  const query = new URLSearchParams(location.hash.slice(1));
  tickers = [...new Set(query.getAll("t"))].slice(0, MOST);
  if (VIEWS.some(([name]) => name === query.get("v"))) view = query.get("v");
}

/** Adds a ticker; with five there, it takes the place of the last one. date: explains its value there too. */
export async function add(ticker, date = null) {
  close();
  if (!tickers.includes(ticker)) tickers = [...tickers.slice(0, MOST - 1), ticker];
  remember();
  await load();
  $("chart").scrollIntoView({ block: "nearest" });
  if (date) explain(ticker, daysOf(date));
}

function remove(ticker) {
  tickers = tickers.filter((other) => other !== ticker);
  remember();
  load();
}

export async function load() {
  controls();
  if (!tickers.length && !location.hash) {
    const first = await whole.ask("first-ticker");
    if (first?.id) tickers = [first.id];
  }
  const told = await whole.ask("series", { id: tickers });
  if (!told) return;
  data = told;
  const unknown = tickers.filter((ticker) => !(ticker in told.tickers));
  fill($("chart-note"), unknown.length ? `No such ticker: ${unknown.join(", ")}` : tickers.length ? "" : "Type a ticker above.");
  draw();
}

/** What a batch may have changed is asked for and put in its place. */
export async function batch(told) {
  if (!told.dates.first) return;
  if (!tickers.length) return load();
  const fresh = await part.ask("series", { id: tickers, first: told.dates.first, last: told.dates.last });
  if (!fresh) return;
  if (Object.keys(fresh.tickers).join("\n") !== Object.keys(data.tickers).join("\n")) return load();
  data = merged(data, fresh);
  draw();
}

function merged(old, fresh) {
  const days = [...new Set([...old.days, ...fresh.days])].sort((a, b) => a - b);
  const place = (list) => new Map(list.map((day, at) => [day, at]));
  const [before, now] = [place(old.days), place(fresh.days)];
  const joined = {};
  for (const [ticker, values] of Object.entries(fresh.tickers)) {
    joined[ticker] = {};
    for (const kind of Object.keys(values)) {
      const earlier = old.tickers[ticker][kind];
      joined[ticker][kind] = days.map((day) => (now.has(day) ? values[kind][now.get(day)] : (earlier[before.get(day)] ?? null)));
    }
  }
  return { days, tickers: joined, corrections: fresh.corrections };
}

function controls() {
  choice($("view"), VIEWS, view, (chosen) => {
    view = chosen;
    remember();
    controls();
    draw();
  });
  choice($("range"), RANGES.map(([name]) => [name, name]), range, (chosen) => {
    range = chosen;
    controls();
    plot.showLast(RANGES.find(([name]) => name === chosen)[1]);
  });
}

function draw() {
  plot.draw(data, view);
  legend(null);
}

const lastOf = ({ price: prices }) => prices.findLastIndex((value) => value !== null);

/** at: where the pointer is, null: the last value of each ticker, with its own date if that is an older one. */
function legend(at) {
  const shown = at ?? Math.max(...Object.values(data.tickers).map(lastOf));
  const chips = Object.entries(data.tickers).map(([ticker, values], number) => {
    let where = at;
    if (where === null) where = lastOf(values);
    const [value, back, volume] = ["price", "return", "volume"].map((kind) => values[kind][where]);
    return el(
      "span",
      { class: `ticker series-${number}` },
      el("b", {}, ticker),
      where >= 0 && where !== shown && el("time", { class: "more" }, dayOf(data.days[where])),
      el("span", {}, price(value)),
      el("span", { class: back > 0 ? "up" : back < 0 ? "down" : "" }, percent(back)),
      el("span", { class: "more" }, `vol ${compact(volume)}`),
      el("button", { type: "button", "aria-label": `Remove ${ticker}`, onclick: () => remove(ticker) }, "✕"),
    );
  });
  const day = data.days[shown];
  fill($("legend"), day !== undefined && el("time", {}, dayOf(day)), chips);
}

async function explain(ticker, day) {
  const title = `${ticker} on ${dayOf(day)}`;
  show(title, el("p", { class: "note" }, "Looking into the files of the drops …"));
  const told = await new Asker().ask("point", { id: ticker, date: dayOf(day) }, (why) => show(title, el("p", {}, why)));
  if (!told) return;
  const before = told.previous_date;
  show(
    title,
    facts([
      ["price", price(told.price)],
      ["return", percent(told.return, 4)],
      ["volume", count(told.volume)],
      ["price before", before ? `${price(told.previous_price)} on ${before}` : none],
    ]),
    told.notes.map((note) => el("p", { class: "note" }, note)),
    el("h3", {}, "What drops gave for it; the last one counts"),
    given(told.given),
    before && el("h3", {}, `The same for ${before}`),
    before && given(told.given_previous),
    Object.entries(told.gone).map(([drop, why]) => el("p", { class: "note" }, `Of drop ${drop} the lines are not known: ${why}.`)),
    told.rejects.length > 0 && el("h3", {}, "Rejected rows that may have been meant for it"),
    told.rejects.length > 0 &&
      table(
        [["drop", "number"], ["line", "number"], ["row", "file"], ["reason", ""]],
        told.rejects.map((one) => [count(one.drop), count(one.line), one.text, one.reason]),
        (at) => receipt(told.rejects[at].drop),
      ),
  );
}

const given = (values) =>
  table(
    [["drop", "number"], ["file", "file"], ["line", "number"], ["price", "number"], ["volume", "number"], ["loaded", "moment"]],
    values.map((one) => [count(one.drop), one.key, count(one.line), price(one.price), count(one.volume), moment(one.committed_at)]),
    (at) => receipt(values[at].drop),
  );

recall();
tickerBox(add);
