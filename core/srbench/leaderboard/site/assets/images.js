// Two models compared image by image, and crops with a slider.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const option = (value, text) => element("option", { value, textContent: text });

// Scatter

const scatterSection = document.querySelector("[data-images]");
const [firstModel, secondModel, scattered, metricChoice] = ["first", "second", "scattered", "metric"].map((id) => document.getElementById(id));

function fillChoices(data) {
  const ids = Object.keys(data.rows);
  for (const choice of [firstModel, secondModel]) choice.append(...ids.map((id) => option(id, data.rows[id].name)));
  secondModel.value = ids[1] ?? ids[0];
  scattered.append(...data.datasets.map(({ label }) => option(label, label)));
  metricChoice.append(...data.metrics.map(({ title, unit }, index) => option(String(index), unit ? `${title} (${unit})` : title)));
  // Select the data set with the most images initially.
  const sizes = data.datasets.map(({ images }) => images.length);
  scattered.value = data.datasets[sizes.indexOf(Math.max(...sizes))]?.label;
}

function pairs(data) {
  const set = data.datasets.findIndex(({ label }) => label === scattered.value);
  const metric = Number(metricChoice.value);
  const [a, b] = [firstModel, secondModel].map((choice) => data.rows[choice.value].values[set][metric]);
  return data.datasets[set].images
    .map((image, index) => ({ image, a: a[index], b: b[index] }))
    .filter(({ a, b }) => Number.isFinite(a) && Number.isFinite(b));
}

function ticks(low, high) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const decimals = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let index = Math.ceil(low / step); index * step <= high; index++) found.push([index * step, (index * step).toFixed(decimals)]);
  return found;
}

function drawScatter(data) {
  const metric = data.metrics[Number(metricChoice.value)];
  const names = [firstModel, secondModel].map((choice) => data.rows[choice.value].name);
  const found = pairs(data);
  const place = document.getElementById("scatter");
  const words = document.getElementById("verdict");
  if (!found.length) {
    place.replaceChildren();
    words.textContent = "The two models have no images with finite values in common here.";
    document.getElementById("values").replaceChildren();
    return;
  }
  const all = found.flatMap(({ a, b }) => [a, b]);
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
  [low, high] = [low - margin, high + margin];
  const [size, left, bottom, top] = [460, 58, 410, 12];
  const side = bottom - top;
  const x = (value) => left + ((value - low) / (high - low)) * side;
  const y = (value) => bottom - ((value - low) / (high - low)) * side;
  const picture = shape("svg", { class: "plot", viewBox: `0 0 ${left + side + 14} ${size}`, role: "img", "aria-label": `${metric.title} of ${names[1]} against ${names[0]} on each image of ${scattered.value}` });
  const better = metric.sign > 0 ? `M${x(low)} ${y(low)}L${x(high)} ${y(high)}V${y(high)}H${x(low)}Z` : `M${x(low)} ${y(low)}L${x(high)} ${y(high)}V${y(low)}Z`;
  picture.append(shape("path", { class: "region", d: better }));
  for (const [value, text] of ticks(low, high)) {
    picture.append(shape("line", { class: "grid", x1: left, x2: left + side, y1: y(value), y2: y(value) }));
    picture.append(shape("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }));
    picture.append(shape("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, text));
    picture.append(shape("text", { x: x(value), y: bottom + 18, "text-anchor": "middle" }, text));
  }
  picture.append(shape("line", { class: "axis", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }));
  const short = (name) => (name.length > 44 ? `${name.slice(0, 43)}…` : name);
  picture.append(shape("text", { x: left + side / 2, y: size - 8, "text-anchor": "middle" }, `${metric.title}, ${short(names[0])}`));
  picture.append(shape("text", { x: 13, y: top + side / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${top + side / 2})` }, `${metric.title}, ${short(names[1])}`));
  const stops = found.map(({ image, a, b }) => {
    const dot = shape("circle", { class: "sample", cx: x(a), cy: y(b), r: 5 });
    const text = `${image}: ${a.toFixed(metric.decimals)} against ${b.toFixed(metric.decimals)} ${metric.unit}`.trim();
    dot.addEventListener("pointerenter", (event) => showTip(text, event.clientX, event.clientY));
    dot.addEventListener("pointerleave", () => { tip.hidden = true; });
    picture.append(dot);
    const light = (on) => dot.classList.toggle("lit", on);
    return { at: a, mark: dot, text, enter: () => light(true), leave: () => light(false), follow: () => {} };
  });
  walk(picture, stops.sort((one, other) => one.at - other.at));
  place.replaceChildren(picture);
  const differences = found.map(({ a, b }) => b - a);
  const ahead = differences.filter((value) => value * metric.sign > 0).length;
  const behind = differences.filter((value) => value * metric.sign < 0).length;
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  words.textContent = `${names[1]} is better on ${ahead}, worse on ${behind} of ${found.length} images; mean difference ${mean > 0 ? "+" : mean < 0 ? "−" : ""}${Math.abs(mean).toFixed(metric.decimals + 1)} ${metric.unit}. Points in the shaded half are images on which it is better. Which differences are beyond chance, the ranks say.`;
  const body = element("tbody");
  for (const { image, a, b } of found) {
    body.append(element("tr", {}, element("th", { scope: "row", textContent: image }), ...[a, b, b - a].map((value) => element("td", { className: "n", textContent: value.toFixed(metric.decimals + 1).replace("-", "−") }))));
  }
  const head = element("tr", {}, ...["Image", ...names, "Difference"].map((text) => element("th", { scope: "col", textContent: text })));
  document.getElementById("values").replaceChildren(element("table", {}, element("caption", { className: "unseen", textContent: `${metric.title} on each image of ${scattered.value}` }), element("thead", {}, head), body));
}

let begun = false;
async function beginScatter() {
  if (begun) return;
  begun = true;
  try {
    const data = await loadData();
    fillChoices(data);
    drawScatter(data);
    for (const choice of [firstModel, secondModel, scattered, metricChoice]) choice.addEventListener("change", () => drawScatter(data));
  } catch (error) {
    document.getElementById("verdict").textContent = `Not shown: ${error.message}.`;
  }
}
if (board.dataset.labels !== "0" && allRows.length > 1) {
  scatterSection.hidden = false;
  // The values of large boards are large: load them when the section becomes visible.
  new IntersectionObserver((seen, observer) => {
    if (seen.some((entry) => entry.isIntersecting)) { observer.disconnect(); beginScatter(); }
  }, { rootMargin: "200px" }).observe(scatterSection);
}

// Slider

const slider = document.querySelector("[data-slider]");
if (slider) {
  const strips = [...document.querySelectorAll("[data-strip]")].map((strip) => ({
    name: strip.dataset.strip,
    pictures: [...strip.querySelectorAll("figure")].map((figure) => ({
      source: figure.querySelector("img").src,
      width: figure.querySelector("img").width,
      title: figure.querySelector("b").textContent,
      detail: figure.querySelector("figcaption span").textContent,
    })),
  }));
  const [crop, left, right, cut] = ["crop", "left", "right", "cut"].map((id) => document.getElementById(id));
  const stage = slider.querySelector(".stage");
  const strip = () => strips[Number(crop.value)];
  const fill = () => {
    const before = [left.value, right.value];
    for (const choice of [left, right]) choice.replaceChildren(...strip().pictures.map(({ title }) => option(title, title)));
    const titles = strip().pictures.map(({ title }) => title);
    left.value = titles.includes(before[0]) ? before[0] : titles[titles.length > 2 ? 1 : 0];
    right.value = titles.includes(before[1]) ? before[1] : titles[titles.length > 2 ? 2 : titles.length - 1];
  };
  const show = () => {
    for (const [choice, id, words] of [[left, "over", "left-words"], [right, "under", "right-words"]]) {
      const picture = strip().pictures.find(({ title }) => title === choice.value);
      const image = document.getElementById(id);
      image.src = picture.source;
      image.alt = `${strip().name}, ${picture.title}`;
      document.getElementById(words).textContent = picture.detail ? `${picture.title}: ${picture.detail}` : picture.title;
    }
    stage.style.setProperty("--cut", `${cut.value}%`);
  };
  crop.append(...strips.map(({ name }, index) => option(String(index), name)));
  fill();
  show();
  slider.hidden = false;
  crop.addEventListener("change", () => { fill(); show(); });
  for (const choice of [left, right]) choice.addEventListener("change", show);
  cut.addEventListener("input", show);
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cut.value = String(Math.round(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * 100));
    stage.style.setProperty("--cut", `${cut.value}%`);
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); follow(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
}
