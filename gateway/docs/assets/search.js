"use strict";

// Searches everything that the page documents: elements with data-find (the kind), data-name and data-summary, and the
// HTTP operations that viewer.js adds. Their text is searched too, so that a field leads to its service. Examples
// are not searched, as they contain nearly every name.

const MOST = 12; // results listed: a screen of them
const operations = [];

{
  const form = document.getElementById("find");
  const input = document.getElementById("find-text");
  const list = document.getElementById("find-results");
  const status = document.getElementById("find-status");
  let shown = [];
  let active = 0;

  const lower = (text) => text.toLowerCase().replace(/\s+/g, " ");

  const documented = [...document.querySelectorAll("[data-find]")].map((element) => ({
    kind: element.dataset.find,
    name: element.dataset.name,
    summary: element.dataset.summary,
    text: lower([...element.querySelectorAll("p, td, dd")].map((part) => part.textContent).join(" ")),
    open: () => reveal(element),
  }));

  function reveal(element) {
    if (element instanceof HTMLAnchorElement) return element.click();
    if (location.hash === `#${element.id}`) element.scrollIntoView();
    else location.hash = element.id;
    if (element instanceof HTMLDetailsElement) element.open = true;
    const target = element.querySelector("summary") ?? element;
    if (target === element) target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  // Lower is better; NaN if the text does not contain it.
  function distance(entry, word) {
    const name = lower(entry.name);
    if (name === word) return 0;
    if (name.startsWith(word)) return 1;
    if (name.includes(word)) return 2;
    if (lower(entry.summary).includes(word)) return 3;
    return entry.text.includes(word) ? 4 : NaN;
  }

  function search(text) {
    const words = lower(text).trim().split(" ");
    return [...documented, ...operations]
      .map((entry) => ({ entry, total: words.reduce((sum, word) => sum + distance(entry, word), 0) }))
      .filter(({ total }) => !Number.isNaN(total))
      .sort((one, other) => one.total - other.total)
      .map(({ entry }) => entry);
  }

  function option(entry, index) {
    const item = document.createElement("li");
    const name = document.createElement("code");
    const kind = document.createElement("small");
    const summary = document.createElement("span");
    item.id = `find-result-${index}`;
    item.setAttribute("role", "option");
    name.textContent = entry.name;
    kind.textContent = entry.kind;
    summary.textContent = entry.summary;
    item.append(name, kind, summary);
    item.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the input's focus until the click
    item.addEventListener("click", () => choose(index));
    return item;
  }

  function show() {
    const all = input.value.trim() ? search(input.value) : [];
    shown = all.slice(0, MOST);
    list.replaceChildren(...shown.map(option));
    list.hidden = !shown.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    if (!input.value.trim()) status.textContent = "";
    else if (!all.length) status.textContent = "Nothing found";
    else status.textContent = all.length > MOST ? `The first ${MOST} of ${all.length} results` : `${all.length} found`;
    form.classList.toggle("nothing", Boolean(input.value.trim()) && !all.length);
    point(0);
  }

  function point(index) {
    active = index;
    for (const [place, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(place === active));
      if (place === active) item.scrollIntoView({ block: "nearest" });
    }
    if (list.hidden) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[active].id);
  }

  function close() {
    list.hidden = true;
    status.textContent = "";
    form.classList.remove("nothing");
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(index) {
    const entry = shown[index];
    input.value = "";
    close();
    entry.open();
  }

  const keys = {
    ArrowDown: () => point((active + 1) % shown.length),
    ArrowUp: () => point((active + shown.length - 1) % shown.length),
    Enter: () => choose(active),
  };

  input.addEventListener("input", show);
  input.addEventListener("focus", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      input.value = "";
      close();
    } else if (!list.hidden && event.key in keys) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("focusout", (event) => {
    if (!form.contains(event.relatedTarget)) close();
  });
  addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writing) return;
    event.preventDefault();
    input.focus();
  });
  if (matchMedia("(hover: hover)").matches) input.placeholder = "Search: press /"; // other devices have no keyboard
  form.hidden = false; // hidden without JavaScript, as it does nothing then
}
