"use strict";
// Which words mattered for a decision.

// How strong the colour of the strongest word is; more would hide the word.
const STRONGEST = 0.6;
const MOST_LISTED = 10;

const signed = (value) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(3)}`;

function weighed(text, words, largest) {
  const prose = make("p", { class: "prose" });
  prose.append(...slices(text, words, (word, part) => {
    const kind = word.value < 0 ? "against" : "for";
    const element = make("span", { class: `word ${kind}`, title: signed(word.value) }, part);
    element.style.setProperty("--strength", STRONGEST * Math.abs(word.value) / largest);
    return element;
  }));
  return prose;
}

function whyCard(found, texts) {
  const largest = Math.max(...found.words.map((word) => Math.abs(word.value)), 1e-9);
  const parts = [make("p", { class: "verdict" }, found.decision)];
  texts.forEach((text, number) => parts.push(weighed(text, found.words.filter((word) => word.part === number), largest)));
  const strongest = [...found.words].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MOST_LISTED);
  const list = make("ol", { class: "weights", "aria-label": "The strongest words" });
  for (const word of strongest) {
    const said = word.value < 0 ? "against" : "for";
    list.append(make("li", {}, make("span", { class: "name" }, word.text), make("span", { class: "share" }, signed(word.value)),
      make("span", { class: "only_heard" }, ` ${said} the decision`)));
  }
  const note = `${found.meaning}: ${found.score.toFixed(3)}; with all words hidden ${found.baseline.toFixed(3)}. The words make up the difference, but for ${percent(found.error)}.`
    + (found.read_whole ? "" : " The model did not read the whole text at once; what it did not read has no part in it.");
  parts.push(make("h2", {}, "The strongest words"), list, make("p", { class: "read" }, note));
  return card(...parts);
}

panel("explain", async (data, model) => {
  const pair = data.get("pair").trim(), text = data.get("text");
  const body = { model, text };
  if (pair) body.text_pair = pair;
  const answer = await ask("/v1/explain", body);
  const cards = answer.decisions.map((found) => whyCard(found, pair ? [text, pair] : [text]));
  const rest = [];
  if (!cards.length) rest.push(make("p", {}, "The model finds no entity, so there is nothing to explain."));
  if (answer.decisions_left_out) rest.push(make("p", {}, `${answer.decisions_left_out} more are not explained.`));
  const legend = make("p", { class: "read" }, make("span", { class: "word for key" }, "Green"), " speaks for the decision; ",
    make("span", { class: "word against key" }, "red, underlined"), ", against it.");
  return [...cards, card(...rest, ...(cards.length ? [legend] : []), readLine(answer, [answer]))];
});
