"use strict";
// The routes, from the document that the server writes of itself.

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

let schemas = {};

const resolved = (schema) => (schema && schema.$ref ? schemas[schema.$ref.split("/").pop()] : schema) || {};

// A type in a few words.
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "anything"}`;
  if (schema.additionalProperties) return `object of ${typeOf(schema.additionalProperties)}`;
  return schema.type || "anything";
}

function fields(schema) {
  const found = resolved(schema);
  if (!found.properties) return make("p", {}, typeOf(schema));
  const needed = new Set(found.required || []);
  const table = make("table");
  for (const [name, property] of Object.entries(found.properties)) {
    const limits = ["minimum", "maximum", "minLength", "minItems", "maxItems"].filter((one) => one in property);
    const said = [needed.has(name) ? "needed" : `default ${JSON.stringify(property.default ?? null)}`];
    said.push(...limits.map((one) => `${one} ${property[one]}`));
    table.append(make("tr", {}, make("td", {}, make("code", {}, name)), make("td", {}, typeOf(property)), make("td", {}, said.join(", "))));
  }
  return table;
}

// A small value that fits a schema.
function example(schema, name = "") {
  const found = resolved(schema);
  if (found.anyOf) return example(found.anyOf[0], name);
  if (found.properties) return Object.fromEntries((found.required || []).map((one) => [one, example(found.properties[one], one)]));
  if (found.type === "array") return [example(found.items || {}, name)];
  if (found.type === "integer" || found.type === "number") return 1;
  if (found.type === "boolean") return false;
  return name === "question" ? "Who wrote it?" : "The [MASK] wrote a letter.";
}

function route(method, path, operation, withKey) {
  const shown = make("details", { class: "card" }, make("summary", {}, make("b", {}, method.toUpperCase()),
    make("code", {}, path), make("span", {}, operation.summary)));
  const body = operation.requestBody?.content["application/json"].schema;
  let command = `curl ${location.origin}${path}`;
  if (withKey && operation.security) command += ` \\\n  -H 'authorization: Bearer KEY'`;
  if (method === "delete") command += ` -X DELETE`;
  if (body) {
    shown.append(make("h3", {}, "Body"), fields(body));
    command += ` \\\n  -H 'content-type: application/json' \\\n  -d '${JSON.stringify(example(body))}'`;
  }
  const [good] = Object.values(operation.responses["200"].content || {});
  if (good) shown.append(make("h3", {}, "Answer"), fields(good.schema));
  const refusals = make("table");
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status !== "200") refusals.append(make("tr", {}, make("td", {}, status), make("td", {}, response.description)));
  }
  shown.append(make("h3", {}, "Refusals"), refusals, make("h3", {}, "Ask"), make("pre", {}, command));
  return shown;
}

async function start() {
  const main = document.getElementById("main");
  const found = await (await fetch("/openapi.json")).json();
  schemas = found.components.schemas;
  for (const { name, description } of found.tags) {
    main.append(make("h2", {}, name), make("p", {}, description));
    for (const [path, methods] of Object.entries(found.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(name)) main.append(route(method, path, operation, Boolean(found.components.securitySchemes)));
      }
    }
  }
}

start();
