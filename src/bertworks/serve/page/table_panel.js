"use strict";
// A CSV: predictions for all rows, the least certain first, to download.

const CHUNK = 32, SHOWN = 200;

// The rows of a CSV with commas, semicolons or tabs. Quotes may hold separators, line ends, and quotes twice.
function rowsOf(text) {
  const first = text.split("\n", 1)[0];
  const separator = [",", ";", "\t"].map((one) => [first.split(one).length, one]).sort((a, b) => b[0] - a[0])[0][1];
  const rows = [];
  let row = [], field = "", quoted = false;
  const endField = () => { row.push(field); field = ""; };
  const endRow = () => { endField(); if (row.some((one) => one.trim())) rows.push(row); row = []; };
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character !== '"') field += character;
      else if (text[i + 1] === '"') { field += '"'; i++; }
      else quoted = false;
    } else if (character === '"' && !field.trim()) { quoted = true; field = ""; }
    else if (character === separator) endField();
    else if (character === "\n") endRow();
    else if (character !== "\r") field += character;
  }
  if (quoted) throw new Problem("A quote of the CSV is opened and never closed.");
  endRow();
  return rows;
}

const entropy = (shares) => -shares.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);

// How unsure a prediction is: 0 where one class has all, 1 where all have the same. Of several classes at once, the mean.
function uncertainty({ label, probabilities }) {
  const shares = Object.values(probabilities);
  if (Array.isArray(label)) {
    return shares.reduce((sum, share) => sum + entropy([share, 1 - share]), 0) / (shares.length * Math.LN2);
  }
  return shares.length < 2 ? 0 : entropy(shares) / Math.log(shares.length);
}

const quoted = (field) => (/[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

panel("table", async (data, model) => {
  const rows = rowsOf(data.get("text"));
  if (rows.length < 2) throw new Problem("Give a row of names and at least one row of values.");
  const [names, ...records] = rows;
  const column = Number(data.get("column"));
  const kept = records.map((record, i) => ({ record, line: i + 1, text: (record[column] || "").trim() })).filter((one) => one.text);
  if (!kept.length) throw new Problem(`The column ${names[column]} is empty.`);
  const place = panels.table.place;
  const bar = make("progress", { max: kept.length, value: 0, "aria-label": "Rows done" });
  place.replaceChildren(card(make("p", {}, `Predicting ${kept.length.toLocaleString()} rows …`), bar));
  let answer;
  for (let i = 0; i < kept.length; i += CHUNK) {
    const part = kept.slice(i, i + CHUNK);
    answer = await ask("/v1/classify", { model, texts: part.map((one) => one.text) });
    answer.results.forEach((result, j) => Object.assign(part[j], { result }));
    bar.value = i + part.length;
  }
  for (const one of kept) one.unsure = uncertainty(one.result);
  kept.sort((a, b) => b.unsure - a.unsure);
  return shownRows(names, kept, records.length, answer);
}, (form) => {
  const area = form.querySelector("textarea"), columns = form.querySelector("#column"), file = form.querySelector("#csv_file");
  const offer = () => {
    let names = [];
    try { [names = []] = rowsOf(area.value); } catch { return; }
    const before = columns.selectedOptions[0]?.textContent;
    columns.replaceChildren(...names.map((name, i) => make("option", { value: i }, name || `column ${i + 1}`)));
    const wanted = names.findIndex((name) => name === before);
    const guess = names.findIndex((name) => /text|sentence|review|comment|body|title/i.test(name));
    columns.value = String(Math.max(0, wanted >= 0 ? wanted : guess));
  };
  const take = async (given) => { if (given) { area.value = await given.text(); offer(); } };
  area.addEventListener("input", offer);
  file.addEventListener("change", () => take(file.files[0]));
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("dropping"); });
  form.addEventListener("dragleave", () => form.classList.remove("dropping"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("dropping");
    take(event.dataTransfer.files[0]);
  });
  offer();
});

function shownRows(names, kept, total, answer) {
  const label = (result) => (Array.isArray(result.label) ? result.label.join(" | ") : String(result.label));
  const best = (result) => Math.max(...Object.values(result.probabilities), 0);
  const classes = Object.keys(kept[0].result.probabilities);
  const csv = () => [
    [...names, "prediction", ...classes.map((name) => `probability of ${name}`), "uncertainty", "tokens_cut"],
    ...kept.map(({ record, result, unsure }) => [
      ...names.map((_, i) => record[i] || ""), label(result), ...classes.map((name) => result.probabilities[name].toFixed(6)),
      unsure.toFixed(6), String(result.tokens_cut),
    ]),
  ].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const table = make("table", { class: "rows" }, make("caption", {}, "The least certain first."));
  const head = make("tr");
  for (const name of ["Row", "Text", "Prediction", "Probability", "Uncertainty"]) head.append(make("th", { scope: "col" }, name));
  const body = make("tbody");
  for (const { line, text, result, unsure } of kept.slice(0, SHOWN)) {
    body.append(make("tr", {}, make("td", { class: "number" }, String(line)), make("td", { class: "text" }, text),
      make("td", {}, make("span", { class: "pill" }, label(result))),
      make("td", { class: "number" }, classes.length ? percent(best(result)) : ""), make("td", { class: "number" }, unsure.toFixed(2))));
  }
  table.append(make("thead", {}, head), body);
  const without = total - kept.length;
  const said = [`${kept.length.toLocaleString()} rows`];
  if (kept.length > SHOWN) said.push(`the first ${SHOWN} are shown, the download has all`);
  if (without) said.push(`${without} without text were left out`);
  const button = make("button", { type: "button", onclick: () => download("predictions.csv", csv()) }, "Download CSV");
  return [card(make("div", { class: "summary" }, make("p", {}, `${said.join("; ")}.`), button),
    make("div", { class: "scroll" }, table), readLine(answer, kept.map((one) => one.result)))];
}
