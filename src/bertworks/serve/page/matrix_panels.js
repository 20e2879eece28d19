"use strict";
// Sentences beside each other, and attention by layer and head.

panel("embed", async (data, model) => {
  const sentences = data.get("text").split("\n").map((line) => line.trim()).filter(Boolean);
  if (sentences.length < 2) throw new Problem("Give at least two sentences, one a line.");
  if (sentences.length > 40) throw new Problem(`These are ${sentences.length} sentences; a matrix shows up to 40.`);
  const answer = await ask("/v1/embeddings", { model, input: sentences, long_text: "truncate" });
  const vectors = answer.data.map((one) => one.embedding);
  const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const values = vectors.map((a) => vectors.map((b) => cosine(a, b)));
  const others = values.flatMap((row, i) => row.filter((_, j) => i !== j));
  const lowest = Math.min(...others), highest = Math.max(...others);
  const strength = (value) => (highest > lowest ? 0.06 + 0.64 * Math.max(0, Math.min(1, (value - lowest) / (highest - lowest))) : 0.3);
  const table = make("table", { class: "matrix" }, make("caption", {}, "The cosine of each pair: 1 is the same direction."));
  const head = make("tr", {}, make("td", {}));
  sentences.forEach((_, i) => head.append(make("th", { scope: "col" }, String(i + 1))));
  head.firstChild.style.setProperty("--strength", "0");
  const body = make("tbody");
  sentences.forEach((sentence, i) => {
    const row = make("tr", {}, make("th", { scope: "row", title: sentence }, `${i + 1}  ${sentence}`));
    values[i].forEach((value, j) => {
      const cell = make("td", { title: `${sentence} / ${sentences[j]}` }, value.toFixed(2));
      cell.style.setProperty("--strength", i === j ? "0.05" : strength(value));
      row.append(cell);
    });
    body.append(row);
  });
  table.append(make("thead", {}, head), body);
  let best = [0, 1];
  values.forEach((row, i) => row.forEach((value, j) => { if (i < j && value > values[best[0]][best[1]]) best = [i, j]; }));
  const nearest = make("p", {}, "Nearest: ", make("q", {}, sentences[best[0]]), " and ", make("q", {}, sentences[best[1]]), ".");
  const used = models.find((one) => one.id === answer.model);
  const line = { model: answer.model, version: used ? used.version : "" };
  return [card(nearest, make("div", { class: "scroll" }, table), readLine(line, []))];
});

// The map of a head: a pixel for each pair of tokens.
function drawHead(canvas, rows) {
  const size = rows.length;
  canvas.width = canvas.height = size;
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--heat").trim().split(" ").map(Number);
  const context = canvas.getContext("2d"), image = context.createImageData(size, size);
  rows.forEach((row, i) => row.forEach((value, j) => {
    image.data.set([...colour, Math.round(255 * (0.04 + 0.96 * Math.sqrt(value)))], 4 * (i * size + j));
  }));
  context.putImageData(image, 0, 0);
}

function showHead(tokens, rows) {
  const place = make("div", { class: "tokens", role: "group", "aria-label": "Tokens: choose one to see what it looks at" });
  const said = make("p", { class: "read", "aria-live": "polite" });
  const buttons = tokens.map((token, i) => make("button", { type: "button", onclick: () => choose(i) }, token));
  function choose(number) {
    const row = rows[number];
    const most = Math.max(...row);
    buttons.forEach((button, j) => {
      button.style.setProperty("--strength", 0.85 * (row[j] / most));
      button.setAttribute("aria-pressed", j === number);
      button.title = percent(row[j]);
    });
    const order = row.map((value, j) => [value, j]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    said.replaceChildren(make("q", {}, tokens[number]), " looks most at ",
      order.map(([value, j]) => `${tokens[j]} (${percent(value)})`).join(", "), ".");
  }
  place.append(...buttons);
  choose(Math.min(1, tokens.length - 1));
  return [place, said];
}

panel("attend", async (data, model) => {
  const answer = await ask("/v1/attention", { model, text: data.get("text"), layer: Number(data.get("layer")) });
  const view = make("div"), heads = make("div", { class: "heads", role: "group", "aria-label": "Heads" });
  const choose = (number) => {
    view.replaceChildren(...showHead(answer.tokens, answer.attention[number]));
    heads.querySelectorAll("button").forEach((button, other) => button.setAttribute("aria-pressed", other === number));
  };
  answer.attention.forEach((rows, number) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    drawHead(canvas, rows);
    heads.append(make("button", { type: "button", onclick: () => choose(number) }, canvas, `Head ${number + 1}`));
  });
  choose(0);
  const title = make("h2", {}, `Layer ${answer.layer + 1}: each row of a map is a token, each column what it looks at`);
  return [card(title, heads, view, readLine(answer, []))];
}, (form) => {
  const layers = form.querySelector("#layer"), select = form.querySelector(".models select");
  const offer = () => {
    const model = models.find((one) => one.id === select.value);
    layers.replaceChildren(...Array.from({ length: model.layers }, (_, i) => make("option", { value: i }, String(i + 1))));
  };
  select.addEventListener("change", offer);
  offer();
  // Another layer of the same text is one click.
  layers.addEventListener("change", () => { if (panels.attend.place.children.length) form.requestSubmit(); });
});
