// The dashboard: asks for the server's counters every other second, as long as somebody looks.
import { Refused, stats } from "./api.js";
import { drawn, element, table } from "./elements.js";
import { count, dollars, many, percent } from "./figures.js";
import { plot } from "./plot.js";
import { Rate } from "./rate.js";

const EVERY = 2000; // milliseconds
const STATUS = {
  400: "the request is wrong",
  401: "no key, or a wrong one",
  403: "the key does not allow it",
  404: "there is no such thing",
  409: "the server is not set up for it",
  413: "the request is too large",
  429: "too many requests, or the budget is spent",
  500: "a fault of the server",
  502: "no model answered",
  503: "all models rest, or the server is full",
  504: "no model answered in time",
};

const part = (id) => document.getElementById(id);
const rate = new Rate();
let paused = false;

// What nothing was counted of is not in the answer.
function whole(found) {
  const none = { cost: 0, cost_largest: 0, in_flight: 0, fallbacks: 0, router_failures: 0 };
  const row = { answers: 0, failures: 0, cost: 0, input_tokens: 0, output_tokens: 0 };
  const models = Object.entries(found.models).map(([name, model]) => [name, { ...row, ...model }]);
  return { ...none, ...found, models: Object.fromEntries(models) };
}

function show(found) {
  const failed = sum(Object.values(found.errors));
  const saved = found.cost_largest - found.cost;
  part("requests").textContent = count(found.requests);
  part("flight").textContent = `${count(found.in_flight)} under way`;
  part("spent").textContent = dollars(found.cost);
  part("each").textContent = found.requests ? `${dollars(found.cost / found.requests)} a request` : "";
  part("saved").textContent = dollars(saved);
  part("less").textContent = found.cost_largest
    ? `${percent(Math.abs(saved) / found.cost_largest)} ${saved < 0 ? "more" : "less"} than always `
      + "asking the dearest model"
    : "against always asking the dearest model";
  part("saved").className = saved > 0 ? "gain" : saved < 0 ? "loss" : "";
  part("errors").textContent = found.requests
    ? `${count(failed)} (${percent(failed / found.requests)})`
    : count(failed);
  part("errors").className = failed ? "some" : "";
  part("rescued").textContent = `${many(found.fallbacks, "answer")} by another model instead`;
  part("share").replaceChildren(shares(found.models));
  part("error").replaceChildren(errors(found));
  const now = performance.now() / 1000;
  rate.add(now, found.requests);
  const width = Math.max(part("load").clientWidth, 280);
  part("load").replaceChildren(plot(rate.points(now), width));
  const since = new Date(1000 * found.since);
  part("when").textContent = `Since the server started, ${since.toLocaleString()}`;
}

function shares(models) {
  const all = sum(Object.values(models).map((model) => model.answers));
  if (!all) return element("p", "No model has answered yet.", { class: "note" });
  const rows = Object.entries(models)
    .sort(([, a], [, b]) => b.answers - a.answers)
    .map(([name, model]) => [
      name,
      bar(model.answers / all),
      count(model.answers),
      dollars(model.cost),
      count(model.input_tokens),
      count(model.output_tokens),
      count(model.failures),
    ]);
  const heads = ["model", "share", "answers", "spent", "tokens in", "tokens out", "failed calls"];
  return table("Answers of each model", heads, rows);
}

function errors({ errors: found, router_failures: failures }) {
  const rows = Object.entries(found).map(([status, number]) => [
    `${status} – ${STATUS[status] ?? "another error"}`,
    count(number),
  ]);
  if (failures) rows.push(["the router failed, and the default model was asked", count(failures)]);
  if (!rows.length) return element("p", "None.", { class: "note" });
  return table("Errors by status", ["status", "requests"], rows);
}

function bar(share) {
  const svg = drawn("svg", { class: "cell", viewBox: "0 0 100 8", preserveAspectRatio: "none" });
  svg.setAttribute("aria-hidden", "true");
  svg.append(drawn("rect", { class: "track", width: 100, height: 8 }));
  svg.append(drawn("rect", { class: "fill", width: 100 * share, height: 8 }));
  const made = element("span", undefined, { class: "drawn" });
  made.append(percent(share), svg);
  return made;
}

function sum(values) {
  return values.reduce((all, value) => all + value, 0);
}

async function look() {
  if (!paused && !document.hidden) {
    try {
      show(whole(await stats()));
      part("trouble").hidden = true;
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      part("trouble").textContent = error.message;
      part("trouble").hidden = false;
    }
  }
  setTimeout(look, EVERY);
}

part("pause").addEventListener("click", () => {
  paused = !paused;
  part("pause").setAttribute("aria-pressed", paused);
});
look();
