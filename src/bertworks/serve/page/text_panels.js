"use strict";
// Words at [MASK], classes, entities and answers.

const MASK = "[MASK]";

panel("fill_mask", async (data, model) => {
  const text = data.get("text");
  const answer = await ask("/v1/fill_mask", { model, texts: [text], top_k: Number(data.get("top_k")) });
  const [filled] = answer.results;
  const sentence = make("p", { class: "sentence" });
  text.split(MASK).forEach((part, number) => {
    if (number) sentence.append(make("span", { class: "gap" }, filled.masks[number - 1][0].token));
    sentence.append(part);
  });
  const masks = make("div", { class: "masks" });
  filled.masks.forEach((words, number) => {
    const title = filled.masks.length > 1 ? [make("h2", {}, `Mask ${number + 1}`)] : [];
    masks.append(make("div", {}, ...title, bars(words.map((word) => [word.token, word.probability]))));
  });
  return [card(sentence, masks, readLine(answer, answer.results))];
});

panel("classify", async (data, model) => {
  const pair = data.get("pair").trim();
  const body = { model, texts: [pair ? [data.get("text"), pair] : data.get("text")] };
  if (data.get("long_text")) body.long_text = data.get("long_text");
  const answer = await ask("/v1/classify", body);
  const [one] = answer.results;
  const label = Array.isArray(one.label) ? one.label.join(", ") || "none of them" : String(one.label);
  const pairs = Object.entries(one.probabilities).sort((a, b) => b[1] - a[1]);
  return [card(make("p", { class: "verdict" }, label), bars(pairs), readLine(answer, answer.results))];
});

// A hue for each type of entity: the same in every text, far from that of the type before.
const hues = new Map();
function hueOf(type) {
  if (!hues.has(type)) hues.set(type, (218 + hues.size * 137.5) % 360);
  return hues.get(type);
}

function coloured(type, ...children) {
  const element = make("span", { class: "entity" }, ...children);
  element.style.setProperty("--hue", hueOf(type));
  return element;
}

// The server counts characters as Python does; JavaScript counts halves of some. An array has whole ones.
function slices(text, edges, wrap) {
  const characters = Array.from(text), parts = [];
  let place = 0;
  for (const edge of edges) {
    parts.push(characters.slice(place, edge.begin).join(""), wrap(edge, characters.slice(edge.begin, edge.end).join("")));
    place = edge.end;
  }
  parts.push(characters.slice(place).join(""));
  return parts;
}

panel("tag", async (data, model) => {
  const text = data.get("text");
  const answer = await ask("/v1/tag", { model, texts: [text] });
  const [one] = answer.results;
  if (!one.entities.length) {
    return [card(make("p", { class: "prose" }, text), make("p", {}, "No entities."), readLine(answer, answer.results))];
  }
  const prose = make("p", { class: "prose" });
  prose.append(...slices(text, one.entities, (entity, part) =>
    coloured(entity.type, part, make("small", {}, make("span", { class: "only_heard" }, ", "), entity.type))));
  const counts = new Map();
  for (const { type } of one.entities) counts.set(type, (counts.get(type) || 0) + 1);
  const legend = make("ul", { class: "legend", "aria-label": "Types" });
  for (const [type, count] of counts) legend.append(make("li", {}, coloured(type, `${type} × ${count}`)));
  return [card(prose, legend, readLine(answer, answer.results))];
});

panel("answer", async (data, model) => {
  const text = data.get("context");
  const answer = await ask("/v1/answer", { model, question: data.get("question"), texts: [text], top_k: 5 });
  const prose = make("p", { class: "prose" });
  const list = make("ol", { class: "answers", "aria-label": "Possible answers, the best first" });
  const show = (number) => {
    const found = answer.answers[number];
    prose.replaceChildren(...(found ? slices(text, [found], (_, part) => make("mark", {}, part)) : [text]));
    list.querySelectorAll("button").forEach((button, other) => button.setAttribute("aria-pressed", other === number));
  };
  answer.answers.forEach((found, number) => {
    list.append(make("li", {}, make("button", { type: "button", onclick: () => show(number) }, found.text,
      make("span", { class: "share" }, percent(found.probability)))));
  });
  const best = answer.has_answer && answer.answers.length ? answer.answers[0].text : "The text has no answer";
  const parts = [make("p", { class: "verdict" }, best), prose];
  const others = [make("h2", {}, "Possible answers"), list];
  if (answer.no_answer_probability > 0) {
    others.push(make("p", { class: "read" }, `That there is no answer: ${percent(answer.no_answer_probability)}.`));
  }
  if (answer.question_cut) others.push(make("p", { class: "read" }, make("strong", {}, "The question was cut.")));
  others.push(readLine(answer, answer.texts));
  show(answer.has_answer ? 0 : -1);
  return [card(...parts), card(...others)];
});
