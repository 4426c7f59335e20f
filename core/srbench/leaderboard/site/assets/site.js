// Common to all pages: theme, copy buttons, and the search of the index.
"use strict";

const root = document.documentElement;
const say = (text) => { document.getElementById("said").textContent = text; };

const theme = document.getElementById("theme");
const themes = ["system", "light", "dark"];
const showTheme = () => { theme.textContent = `Theme: ${root.dataset.theme || "system"}`; };
theme.hidden = false;
showTheme();
theme.addEventListener("click", () => {
  const next = themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    localStorage.setItem("srbench-theme", next);
  } catch {
    // Storage is not available: the theme applies to this page only.
  }
  showTheme();
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages opened from disk may have no clipboard API: fall back to the older way.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  const label = button.firstChild;
  button.addEventListener("click", async () => {
    const done = await copy(button.previousElementSibling.textContent);
    label.textContent = done ? "Copied" : "Select it manually";
    say(done ? "Copied." : "It could not be copied; select it manually.");
    setTimeout(() => { label.textContent = "Copy"; }, 1600);
  });
}

// Search: all words must be in an item's text; ×4 and x4 are equal.
const plain = (text) => text.toLowerCase().replaceAll("×", "x");
const words = (text) => plain(text).split(/\s+/).filter(Boolean);

const search = document.querySelector("[data-search]");
if (search) {
  search.hidden = false;
  const field = search.querySelector("input");
  const found = document.getElementById("found");
  const items = [...document.querySelectorAll(".board-card, [data-searched] tbody tr")].map((item) => ({
    item, isModel: item.tagName === "TR", text: plain(`${item.dataset.find} ${item.textContent}`),
  }));
  const suites = [...document.querySelectorAll("[data-suite]")];
  const apply = () => {
    const wanted = words(field.value);
    let models = 0, boards = 0;
    for (const { item, isModel, text } of items) {
      const match = wanted.every((word) => text.includes(word));
      if (item.hidden === match) item.hidden = !match;
      if (match) isModel ? models++ : boards++;
    }
    for (const suite of suites) {
      suite.hidden = wanted.length > 0 && !suite.querySelector(".board-card:not([hidden])");
    }
    found.textContent = wanted.length ? `${models} model${models === 1 ? "" : "s"}, ${boards} board${boards === 1 ? "" : "s"}` : "";
  };
  field.addEventListener("input", apply);
  apply(); // a browser may restore the typed text
}
