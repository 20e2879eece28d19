"use strict";
// Tabs, the key, and the first look at what is served.

const tabs = document.querySelector(".tabs");

function show(name, focus = false) {
  for (const [other, { section, tab }] of Object.entries(panels)) {
    if (!tab) continue;
    section.hidden = other !== name;
    tab.setAttribute("aria-selected", other === name);
    tab.tabIndex = other === name ? 0 : -1;
    if (other === name && focus) tab.focus();
    if (other === name) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  history.replaceState(null, "", `#${name}`);
}

tabs.addEventListener("keydown", (event) => {
  const names = Object.keys(panels).filter((name) => panels[name].tab);
  const now = names.findIndex((name) => panels[name].tab.tabIndex === 0);
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -now, End: names.length - 1 - now }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  show(names[(now + step + names.length) % names.length], true);
});

async function start() {
  const nothing = document.getElementById("nothing");
  try {
    models = (await ask("/v1/models")).data;
  } catch (error) {
    nothing.textContent = error.message;
    nothing.hidden = document.getElementById("key").hidden === false;
    return;
  }
  nothing.hidden = models.length > 0;
  nothing.textContent = "No model is loaded.";
  document.getElementById("served").textContent = models.map((model) => model.id).join(" · ");
  tabs.replaceChildren();
  for (const [name, entry] of Object.entries(panels)) {
    const { section, form, setUp } = entry;
    if (!offerModels(form, section.dataset.ability)) continue;
    entry.tab = make("button", {
      role: "tab", type: "button", id: `tab_${name}`, "aria-controls": section.id, onclick: () => show(name),
    }, section.dataset.title);
    section.setAttribute("role", "tabpanel");
    section.setAttribute("aria-labelledby", entry.tab.id);
    tabs.append(entry.tab);
    if (setUp) setUp(form);
  }
  const asked = location.hash.slice(1);
  const first = Object.keys(panels).find((name) => panels[name].tab);
  if (first) show(panels[asked]?.tab ? asked : first);
}

document.getElementById("key").addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key_text").value;
  event.target.hidden = true;
  start();
});

// A mask goes where the cursor is.
document.querySelector("[data-insert]").addEventListener("click", (event) => {
  const area = event.target.closest("form").querySelector("textarea");
  area.setRangeText(event.target.dataset.insert, area.selectionStart, area.selectionEnd, "end");
  area.focus();
});

// Ctrl+Enter asks, from any field of text.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.closest?.("form")?.requestSubmit();
});

start();
