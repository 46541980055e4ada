// How figures are written on the page, and how texts and rows get there; it knows no run.
// Text is only ever set as text, never as markup.

export const NONE = "–";

export const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
export const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const credits = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const millions = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

// Large figures whole, small ones with the digits that mean something.
export const rate = { format: (n) => (n >= 100 ? whole : short).format(n) };
export const count = { format: (n) => (n >= 1e6 ? millions : whole).format(n) };
export const millis = { format: (n) => (n >= 1000 ? whole : short).format(n) };

export const isKnown = (value) => value !== null && value !== undefined;
export const shown = (value, format = whole) => (isKnown(value) ? format.format(value) : NONE);
export const ms = (value) => (isKnown(value) ? `${millis.format(value)} ms` : NONE);
export const percent = (value) => (isKnown(value) ? `${short.format(value)}%` : NONE);
export const connections = (n) => `${whole.format(n)} connection${n === 1 ? "" : "s"}`;

export const element = (id) => document.getElementById(id);

export function say(id, text) {
  const place = element(id);
  if (place.textContent !== text) place.textContent = text;
}

function made(name, text, kind) {
  const part = document.createElement(name);
  part.textContent = text;
  if (kind) part.className = kind;
  return part;
}

export function figure(id, value, unit, format = short) {
  const place = element(id);
  if (!isKnown(value)) return place.replaceChildren(NONE);
  const parts = [format.format(value)];
  if (unit) parts.push(made("span", unit, "unit"));
  return place.replaceChildren(...parts);
}

// heads: rows of [{ text, kind, span }], rows: [{ kind, cells: [text or { text, kind }], below }]. The
// first cell of a row is what the row is about; what stands below it has the whole width.
export function fill(table, heads, rows) {
  const top = document.createElement("thead");
  top.append(...heads.map(headRow));
  const body = document.createElement("tbody");
  for (const row of rows) body.append(bodyRow(row), ...(row.below ? [belowRow(row)] : []));
  table.replaceChildren(top, body);
}

function headRow(cells) {
  const row = document.createElement("tr");
  for (const { text, kind, span } of cells) {
    const cell = made("th", text, kind);
    cell.scope = span ? "colgroup" : "col";
    if (span) cell.colSpan = span;
    row.append(cell);
  }
  return row;
}

function bodyRow({ kind, cells }) {
  const row = document.createElement("tr");
  if (kind) row.className = kind;
  cells.forEach((told, column) => {
    const { text, kind: of } = typeof told === "string" ? { text: told } : told;
    const cell = made(column ? "td" : "th", text, of);
    if (!column) cell.scope = "row";
    row.append(cell);
  });
  return row;
}

function belowRow({ cells, below }) {
  const row = document.createElement("tr");
  row.className = "below";
  const cell = document.createElement("td");
  cell.colSpan = cells.length;
  cell.append(made("p", below, "bad"));
  row.append(cell);
  return row;
}

// pairs: [[term, text, kind]] become the terms of a list.
export function define(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([term, text, kind]) => {
      const pair = document.createElement("div");
      pair.append(made("dt", term), made("dd", text, kind));
      return pair;
    }),
  );
}

export function itemize(list, texts) {
  list.replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      const inner = made("bdi", text);
      item.append(inner);
      return item;
    }),
  );
}
