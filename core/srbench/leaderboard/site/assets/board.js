// Board tools: filter, columns, details of a row, and charts linked with the table.
"use strict";

const board = document.getElementById("board");
const table = document.getElementById("table");
const sections = tables.get(table);
const allRows = sections.flatMap(({ rows }) => rows);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The script with the values of single images, loaded on demand.
let arriving = null;
let arrive = null;
window.srbenchData = (name, data) => { if (name === board.dataset.board) arrive(data); };
function loadData() {
  arriving ??= new Promise((resolve, reject) => {
    arrive = resolve;
    const script = element("script", { src: board.dataset.source });
    script.addEventListener("error", () => { arriving = null; reject(new Error("the values could not be loaded")); });
    document.head.append(script);
  });
  return arriving;
}

// Filter

const filter = document.getElementById("filter");
const count = document.getElementById("count");
function applyFilter() {
  const shown = filterTable(sections, filter.value);
  count.textContent = filter.value.trim() ? `${shown} of ${allRows.length} rows` : `${allRows.length} rows`;
}
filter.addEventListener("input", applyFilter);

// Columns

const boxes = [...document.querySelectorAll("[data-column]")];
const sheet = new CSSStyleSheet();
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
function applyColumns() {
  thaw(table);
  const hidden = boxes.filter((box) => !box.checked).map((box) => `#table tr:not(.details) > :nth-child(${Number(box.dataset.column) + 1})`);
  sheet.replaceSync(hidden.length ? `${hidden.join(",")} { display: none }` : "");
}
for (const box of boxes) box.addEventListener("change", applyColumns);

const chosenSet = document.getElementById("dataset");
const plotted = document.getElementById("plotted");
const usual = boxes.map((box) => box.defaultChecked);
if (chosenSet) {
  chosenSet.addEventListener("change", () => {
    const name = chosenSet.value;
    boxes.forEach((box, index) => {
      if (box.dataset.dataset) box.checked = name ? box.dataset.dataset === name : usual[index];
    });
    applyColumns();
    if (plotted && [...plotted.options].some((option) => option.value === name)) {
      plotted.value = name;
      showPlots();
    }
    const scattered = document.getElementById("scattered");
    if (name && [...scattered.options].some((option) => option.value === name)) {
      scattered.value = name;
      scattered.dispatchEvent(new Event("change"));
    }
  });
}

// Details of a row

function detailsTable(data) {
  const head = element("tr");
  for (const title of ["Data set", "Metric", "Mean", "95% interval of the mean", "Difference to the first (95% interval)", "SD over seeds"]) {
    head.append(element("th", { scope: "col", textContent: title }));
  }
  const body = element("tbody");
  for (const figures of data.figures) {
    body.append(element("tr", {}, ...figures.map((text) => element("td", { textContent: text }))));
  }
  return element("table", { className: "inner" }, element("caption", { className: "unseen", textContent: `${data.name} in full` }), element("thead", {}, head), body);
}

function factsList(data) {
  const list = element("dl", { className: "inner-facts" });
  for (const [name, text] of data.facts) {
    list.append(element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: text })));
  }
  return list;
}

async function toggleDetails(item, button) {
  if (item.details) {
    item.details.remove();
    item.details = null;
    button.setAttribute("aria-expanded", "false");
    return;
  }
  const cell = element("td", { colSpan: item.row.cells.length, textContent: "Loading …" });
  item.details = element("tr", { className: "details", id: `${item.row.id}-details` }, cell);
  item.row.after(item.details);
  button.setAttribute("aria-expanded", "true");
  button.setAttribute("aria-controls", item.details.id);
  try {
    const data = (await loadData()).rows[item.row.id];
    cell.replaceChildren(element("div", { className: "in" }, detailsTable(data), factsList(data)));
  } catch (error) {
    cell.textContent = `Not shown: ${error.message}.`;
  }
}

for (const item of allRows) {
  const name = item.row.querySelector(".model");
  if (!name || !name.querySelector("a")) continue;
  const button = element("button", { type: "button", className: "more" });
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-label", `Details of ${name.querySelector("a").textContent}`);
  button.addEventListener("click", () => toggleDetails(item, button));
  name.prepend(button);
}

// Charts

const figures = [...document.querySelectorAll("figure[data-axis]")];
const axis = document.getElementById("axis");
function showPlots() {
  const name = plotted ? plotted.value : "";
  // A tier with very many models has only the chart of the mean.
  const has = figures.some((figure) => figure.dataset.set === name && figure.dataset.axis === axis.value);
  for (const figure of figures) {
    figure.hidden = figure.dataset.axis !== axis.value || figure.dataset.set !== (has ? name : "");
  }
}
if (axis) {
  document.querySelector("[data-plots]").hidden = false;
  axis.addEventListener("change", showPlots);
  plotted?.addEventListener("change", showPlots);
  showPlots();
}

const tip = element("div", { id: "tip", hidden: true });
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(8, y - height - 12)}px`;
}

// A chart is one tab stop; the left and right arrow keys move through its points.
function walk(picture, stops) {
  let at = -1;
  const leave = () => {
    if (at >= 0) stops[at].leave();
    at = -1;
    tip.hidden = true;
  };
  picture.tabIndex = 0;
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") leave();
    if (event.key === "Enter" && at >= 0) stops[at].follow();
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = at < 0 ? (step > 0 ? 0 : stops.length - 1) : (at + step + stops.length) % stops.length;
    leave();
    at = next;
    const { mark: shown, text, enter } = stops[at];
    enter();
    shown.scrollIntoView({ block: "nearest", behavior: "instant" });
    const box = shown.getBoundingClientRect();
    showTip(text, (box.left + box.right) / 2, (box.top + box.bottom) / 2);
    say(text);
  });
}

const points = new Map();
for (const point of document.querySelectorAll("g.point[data-row]")) {
  const title = point.querySelector("title");
  point.dataset.tip = title.textContent;
  title.remove(); // otherwise the browser's own tooltip would cover it
  points.set(point.dataset.row, [...(points.get(point.dataset.row) ?? []), point]);
}
function mark(id, on) {
  document.getElementById(id)?.classList.toggle("lit", on);
  for (const point of points.get(id) ?? []) {
    point.classList.toggle("lit", on);
    point.closest("svg").classList.toggle("dimmed", on);
  }
}
for (const [id, several] of points) {
  for (const point of several) {
    point.addEventListener("pointerenter", (event) => { mark(id, true); showTip(point.dataset.tip, event.clientX, event.clientY); });
    point.addEventListener("pointerleave", () => { mark(id, false); tip.hidden = true; });
    point.addEventListener("click", () => {
      document.getElementById(id)?.scrollIntoView({ block: "center", behavior: "smooth" });
    });
  }
}
for (const picture of document.querySelectorAll("svg.plot")) {
  const place = (point) => Number(point.querySelector("use").getAttribute("x"));
  const inside = [...picture.querySelectorAll("g.point[data-row]")].sort((a, b) => place(a) - place(b));
  if (!inside.length) continue;
  walk(picture, inside.map((point) => ({
    mark: point.querySelector("use"),
    text: point.dataset.tip,
    enter: () => mark(point.dataset.row, true),
    leave: () => mark(point.dataset.row, false),
    follow: () => document.getElementById(point.dataset.row)?.querySelector("a")?.focus(),
  })));
}
for (const { row } of allRows) {
  row.addEventListener("pointerenter", () => mark(row.id, true));
  row.addEventListener("pointerleave", () => mark(row.id, false));
  row.addEventListener("focusin", () => mark(row.id, true));
  row.addEventListener("focusout", () => mark(row.id, false));
}

document.querySelector("[data-tools]").hidden = false;
applyColumns();
applyFilter();
