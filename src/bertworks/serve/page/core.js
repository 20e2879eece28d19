"use strict";
// What every panel needs: elements, the server, and the line that says what was read.

const panels = {};
let models = [];
let key = "";

// An element with attributes and children. Text is always text: nothing of a person or a model becomes markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 2 : 1)} %`;

class Problem extends Error {}

// What a route answers. A refusal becomes a Problem that says what the server said.
async function ask(path, body) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const options = body === undefined ? { headers } : {
    method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem("The server does not answer. Is it still running?");
  }
  if (response.status === 401) {
    document.getElementById("key").hidden = false;
    document.getElementById("key_text").focus();
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = answer.error || {};
    const where = error.param ? `${error.param}: ` : "";
    throw new Problem(where + (error.message || `The server refused (${response.status}).`));
  }
  return answer;
}

function showProblem(place, error) {
  if (!(error instanceof Problem)) console.error(error);
  place.replaceChildren(make("p", { class: "card problem", role: "alert" }, error.message));
}

// Which model, which version, how much of the texts it saw.
function readLine(answer, results) {
  const sum = (name) => results.reduce((total, one) => total + (one[name] || 0), 0);
  const tokens = sum("tokens"), cut = sum("tokens_cut"), windows = sum("windows");
  const line = make("p", { class: "read" }, `${answer.model}, version ${answer.version}`);
  if (results.length) {
    line.append(`. Read ${tokens.toLocaleString()} ${tokens === 1 ? "token" : "tokens"} in ${windows.toLocaleString()} `,
      windows === 1 ? "sequence" : "sequences");
    if (cut) line.append("; ", make("strong", {}, `${cut.toLocaleString()} were cut`));
    else line.append(", nothing was cut");
  }
  line.append(".");
  return line;
}

// A list of names with bars; a screen reader hears the name and the share.
function bars(pairs) {
  const list = make("ol", { class: "bars" });
  for (const [name, share] of pairs) {
    const fill = make("div", { class: "fill" });
    list.append(make("li", {}, make("span", { class: "name" }, name),
      make("div", { class: "track", "aria-hidden": "true" }, fill), make("span", { class: "share" }, percent(share))));
    requestAnimationFrame(() => fill.style.setProperty("width", `${Math.max(0, Math.min(1, share)) * 100}%`));
  }
  return list;
}

const card = (...children) => make("div", { class: "card" }, ...children);

// The model that a panel's form has chosen.
const chosen = (form) => form.querySelector(".models select").value;

// Which models a form offers: those that can do it.
function offerModels(form, ability) {
  const able = models.filter((model) => model.abilities.includes(ability));
  // What a model does best comes first in its list.
  able.sort((a, b) => a.abilities.indexOf(ability) - b.abilities.indexOf(ability));
  const select = make("select", { "aria-label": "Model" });
  for (const model of able) select.append(make("option", { value: model.id }, model.id));
  form.querySelector(".models").replaceChildren(select);
  return able.length > 0;
}

// Run what a form asks for; its button waits meanwhile. An answer that is overtaken by a newer one is dropped.
function onAsk(form, place, run) {
  let latest = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = ++latest;
    const button = form.querySelector(".go");
    button.disabled = true;
    place.setAttribute("aria-busy", "true");
    try {
      const found = await run(new FormData(form), chosen(form));
      if (number === latest && found) place.replaceChildren(...found);
    } catch (error) {
      if (number === latest) showProblem(place, error);
    } finally {
      button.disabled = false;
      place.removeAttribute("aria-busy");
    }
  });
}

// A panel by its name: how it asks and shows.
function panel(name, run, setUp) {
  const section = document.getElementById(`panel_${name}`);
  const form = section.querySelector("form"), place = section.querySelector(".results");
  panels[name] = { section, form, place, setUp };
  onAsk(form, place, run);
}
