// Numbers, dates and times as people read them.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const none = "–";

export const count = (value) => (value === null || value === undefined ? none : whole.format(value));
export const compact = (value) => (value === null || value === undefined ? none : short.format(value));
export const many = (value, thing) => `${count(value)} ${thing}${value === 1 ? "" : "s"}`;

export function price(value) {
  if (value === null || value === undefined) return none;
  const size = Math.abs(value);
  if (size >= 1e7 || (size < 1e-3 && size > 0)) return value.toPrecision(6);
  return new Intl.NumberFormat("en", { maximumFractionDigits: size < 1 ? 6 : size < 1000 ? 4 : 2 }).format(value);
}

export function percent(value, digits = 2) {
  if (value === null || value === undefined) return none;
  const told = (100 * value).toFixed(digits);
  return `${value > 0 ? "+" : ""}${told} %`;
}

export function bytes(value) {
  if (value === null || value === undefined) return none;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value.toFixed(at && value < 100 ? 1 : 0)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return none;
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86400).toFixed(0)} days`;
}

export const since = (moment) => Math.max(0, (Date.now() - new Date(moment).getTime()) / 1000);
export const moment = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : none);

/** Days since 1970 of the last date that may have a price anywhere in the world; what is dated later, is so by mistake. */
export const tomorrow = () => Math.floor(Date.now() / 86400000) + 1;

/** `2024-03-04` of a number of days since 1970. */
export const dayOf = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
export const daysOf = (date) => Math.round(Date.parse(`${date}T00:00:00Z`) / 86400000);
