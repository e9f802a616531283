// The drops: newest first, filtered by name and fate; a row opens its receipt.

import { $, choice, el, facts, fill, show, table } from "./dom.js";
import { bytes, count, duration, many, moment } from "./format.js";
import { Asker } from "./ask.js";

const PAGE = 50;
const MOST = 500; // rows that are kept in the page
const FATES = [["", "all"], ["success", "success"], ["failed", "failed"], ["loading", "loading"]];
const [asker, more] = [new Asker(), new Asker()];

let fate = "";
let rows = [];
let complete = false;

export async function load() {
  const told = await asker.ask("drops", { q: $("drops-text").value, fate });
  if (!told) return;
  rows = told;
  complete = told.length < PAGE;
  draw();
}

/** Drops of a batch: new ones come first, ones that go on are replaced. */
export function batch(told) {
  const text = $("drops-text").value.toLowerCase();
  const fits = (drop) => drop.key.toLowerCase().includes(text) && (!fate || drop.fate === fate);
  const seqs = new Set(told.drops.map((drop) => drop.seq));
  rows = [...told.drops.filter(fits), ...rows.filter((drop) => !seqs.has(drop.seq))];
  rows.sort((a, b) => b.seq - a.seq);
  rows.splice(MOST);
  draw();
}

async function further() {
  const told = await more.ask("drops", { q: $("drops-text").value, fate, before: rows.at(-1)?.seq });
  if (!told) return;
  rows = [...rows, ...told];
  complete = told.length < PAGE;
  draw();
}

function draw() {
  choice($("drops-fate"), FATES, fate, (chosen) => { fate = chosen; load(); });
  if (!rows.length) {
    fill($("drops-body"), el("p", { class: "note" }, "No drop fits."));
    return;
  }
  const columns = [
    ["drop", "number"], ["file", "file"], ["fate", ""], ["loaded", "number"], ["rejected", "number"], ["took", "number"],
    ["at", "moment"],
  ];
  const cells = rows.map((drop) => [
    count(drop.seq),
    el("span", {}, drop.key, drop.reason && el("span", { class: "reason" }, drop.reason)),
    el("span", { class: `fate ${drop.fate}` }, drop.fate),
    count(drop.rows_loaded),
    count(drop.rows_rejected),
    drop.seconds !== null && drop.seconds < 3600 ? duration(drop.seconds) : "",
    drop.ended_at ? moment(drop.ended_at) : "",
  ]);
  const open = (at) => receipt(rows[at].seq);
  const last = complete ? null : el("button", { type: "button", class: "further", onclick: further }, "Older drops");
  const focused = document.activeElement?.closest?.("#drops tr")?.getAttribute("aria-label");
  const kept = document.querySelector("#drops-body .scroll")?.scrollTop ?? 0;
  fill($("drops-body"), table(columns, cells, open, (row) => `Receipt of drop ${row[0]}`), last);
  document.querySelector("#drops-body .scroll").scrollTop = kept;
  const again = [...document.querySelectorAll("#drops tbody tr")].find((row) => row.getAttribute("aria-label") === focused);
  again?.focus({ preventScroll: true });
}

const cells = ["new", "changed", "same"];

export async function receipt(seq) {
  const drop = await new Asker().ask("receipt", { seq });
  if (!drop) return;
  const fates = ["loaded", "duplicate", "rejected"].map((name) => `${count(drop[`rows_${name}`])} ${name}`);
  const reasons = Object.entries(drop.reasons).map(([reason, number]) => `${reason}: ${count(number)}`);
  show(
    `Drop ${drop.seq}`,
    facts([
      ["file", drop.key],
      ["fate", el("span", { class: `fate ${drop.fate}` }, drop.fate)],
      ["reason", drop.reason],
      ["what to do", drop.advice],
      ["size", `${bytes(drop.size)}, modified ${moment(drop.last_modified)}`],
      ["rows", `${count(drop.rows_read)} read = ${fates.join(" + ")}`],
      ["cells", drop.cells_new !== null && cells.map((name) => `${count(drop[`cells_${name}`])} ${name}`).join(", ")],
      ["returns rewritten", drop.returns_rewritten && count(drop.returns_rewritten)],
      ["new tickers", drop.tickers_new && count(drop.tickers_new)],
      ["dates", drop.first_date && `${drop.first_date} to ${drop.last_date}`],
      ["rejected for", reasons.join(", ")],
      ["conflicts", drop.conflicts ? many(drop.conflicts, "row") : null],
      ["volumes", drop.volume_unreadable ? `${many(drop.volume_unreadable, "volume")} that cannot be read` : null],
      ["ignored columns", drop.ignored.join(", ")],
      ["ended", drop.ended_at && `${moment(drop.ended_at)} in batch ${drop.batch_id}`],
      ["receipt", drop.written_at ? `written ${moment(drop.written_at)}` : "not yet"],
      ["moved to", drop.moved_to],
    ]),
    drop.rejects.length > 0 && el("h3", {}, "First rejected rows"),
    drop.rejects.length > 0 &&
      table(
        [["line", "number"], ["reason", ""], ["text", "code"]],
        drop.rejects.map((reject) => [count(reject.line), reject.reason, reject.text]),
      ),
  );
}

let typing = null;
$("drops-text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(load, 150);
});
