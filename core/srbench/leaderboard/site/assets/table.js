// Sort and filter tables, and choose their columns. Sections stay separate; missing values stay last.
"use strict";

// The data for sorting and filtering is read from the page once.
function readTable(table) {
  return [...table.querySelectorAll("tbody.rows")].map((body) => ({
    body,
    tier: body.previousElementSibling,
    rows: [...body.rows].map((row) => ({
      row,
      keys: [...row.cells].map((cell) => cell.dataset.v ?? ""),
      text: plain(`${row.dataset.find}`),
      details: null,
    })),
  }));
}

// Fix the column widths while rows move, so that the browser need not measure every cell again.
function freeze(table) {
  if (table.style.tableLayout === "fixed") return;
  const headings = [...table.tHead.rows[0].cells];
  const widths = headings.map((heading) => heading.getBoundingClientRect().width);
  const whole = table.getBoundingClientRect().width;
  headings.forEach((heading, index) => { heading.style.width = `${widths[index]}px`; });
  table.style.width = `${whole}px`;
  table.style.tableLayout = "fixed";
}
function thaw(table) {
  table.style.tableLayout = table.style.width = "";
  for (const heading of table.tHead.rows[0].cells) heading.style.width = "";
}

// In a long table, the visible part changes at once, and the rest after the next frame.
const AT_ONCE = 60;
const waiting = new Map();
function afterFrame(kind, finish) {
  clearTimeout(waiting.get(kind)?.timer);
  const end = () => { waiting.delete(kind); finish(); };
  // The second frame starts when the first one is on the screen.
  const entry = { end, timer: setTimeout(end, 500) };
  waiting.set(kind, entry);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (waiting.get(kind) !== entry) return;
    clearTimeout(entry.timer);
    end();
  }));
}
addEventListener("beforeprint", () => { for (const { end, timer } of [...waiting.values()]) { clearTimeout(timer); end(); } });

function sortTable(table, sections, button) {
  freeze(table);
  const heading = button.closest("th");
  const before = heading.getAttribute("aria-sort");
  const first = !before && "down" in button.dataset;
  const down = before ? before === "ascending" : first;
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = heading.cellIndex;
  const text = "text" in button.dataset;
  const later = [];
  let room = AT_ONCE;
  for (const { body, rows } of sections) {
    const keyed = rows.map((item) => [text ? item.keys[column] : Number(item.keys[column]), item.keys[column] === "", item]);
    keyed.sort(([a, noA], [b, noB]) => {
      if (noA || noB) return noA - noB;
      const order = text ? (a < b ? -1 : a > b ? 1 : 0) : a - b;
      return down ? -order : order;
    });
    const now = [];
    const rest = [];
    for (const [, , { row, details }] of keyed) {
      const lines = details ? [row, details] : [row];
      (room > 0 ? now : rest).push(...lines);
      if (!row.hidden) room--;
    }
    body.replaceChildren(...now);
    if (rest.length) later.push(() => body.append(...rest));
  }
  afterFrame(`sort ${table.id}`, () => { for (const step of later) step(); });
  table.classList.toggle("resorted", column !== 0 || down);
  say(`Sorted by ${button.dataset.name}, ${down ? "largest first" : "smallest first"}.`);
}

function filterTable(sections, query) {
  const wanted = words(query);
  const later = [];
  let shown = 0;
  for (const { rows, tier } of sections) {
    let any = false;
    for (const { row, text, details } of rows) {
      const match = wanted.every((word) => text.includes(word));
      const set = () => {
        if (row.hidden === match) row.hidden = !match;
        if (details) details.hidden = !match;
      };
      if (match && row.hidden && shown >= AT_ONCE) later.push(set);
      else set();
      if (match) { shown++; any = true; }
    }
    if (tier && tier.className === "tier") tier.hidden = !any;
  }
  afterFrame("filter", () => { for (const step of later) step(); });
  return shown;
}

const tables = new Map();
for (const table of document.querySelectorAll("table[data-table]")) {
  const sections = readTable(table);
  tables.set(table, sections);
  addEventListener("resize", () => thaw(table));
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortTable(table, sections, button));
  }
}
