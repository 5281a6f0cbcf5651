// Why a model was chosen: the reason in words, and what was expected of each candidate.
import { count, dollars, percent, seconds } from "./figures.js";
import { element, table } from "./elements.js";

const REASONS = {
  routed: "The router found this model the one most worth asking.",
  pinned: "You asked for this model.",
  fallback: "The router's first choice did not answer or did not do, so this model was asked.",
  "router-failed": "The router failed, so the default model was asked.",
};
const ORDER = ["quality", "cost", "latency"]; // then the others, as they come
const SHOWN = { quality: percent, cost: dollars, latency: seconds, output_tokens: count };

// Return what to show of a turn's reason and scores, or nothing where the server told neither.
export function reasons(turn) {
  const parts = [];
  if (turn.reason) parts.push(element("p", REASONS[turn.reason] ?? turn.reason));
  const told = Object.keys(turn.scores ?? {});
  const names = [...ORDER.filter((name) => told.includes(name)),
    ...told.filter((name) => !ORDER.includes(name))];
  if (names.length) parts.push(scores(turn, names));
  return parts;
}

// A table of what each score predicts: {"quality": {"small": 0.8}}.
function scores(turn, names) {
  const first = turn.scores.quality ?? turn.scores[names[0]];
  const models = [...new Set(names.flatMap((name) => Object.keys(turn.scores[name])))];
  models.sort((a, b) => (first[b] ?? -Infinity) - (first[a] ?? -Infinity));
  const rows = models.map((model) => [
    model === turn.model ? `${model} (answered)` : model,
    ...names.map((name) => figure(name, turn.scores[name][model])),
  ]);
  const heads = names.map((name) => name.replaceAll("_", " "));
  const made = table("What was expected of each model", ["model", ...heads], rows);
  models.forEach((model, place) => {
    made.tBodies[0].rows[place].classList.toggle("chosen", model === turn.model);
  });
  return made;
}

function figure(name, value) {
  if (typeof value !== "number") return "–";
  return SHOWN[name] ? SHOWN[name](value) : value.toPrecision(3);
}
