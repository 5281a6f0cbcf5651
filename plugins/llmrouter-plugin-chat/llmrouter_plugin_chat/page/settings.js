// What the user sets: who answers, the cost-quality knob, what the model is shown.
import { models } from "./api.js";
import { browser } from "./kept.js";

const WORDS = {
  auto: "auto – the router chooses",
  "auto:cheap": "auto:cheap – the router, cost first",
  "auto:best": "auto:best – the router, quality first",
};
const MEMORY = { full: "whole conversation", similar: "similar turns", current: "this question only" };

const part = (id) => document.getElementById(id);
const chosen = { model: "auto", memory: "full", tradeoff: null, ...browser.get("settings", {}) };

export function settings() {
  return { ...chosen };
}

// The fields of a chat payload that follow from the settings.
export function fields() {
  const routed = chosen.model === "auto" && chosen.tradeoff !== null;
  return { model: chosen.model, ...(routed && { llmrouter: { tradeoff: chosen.tradeoff } }) };
}

function show() {
  const routed = chosen.model === "auto";
  const set = chosen.tradeoff !== null;
  part("model").value = chosen.model;
  part("tradeoff").disabled = !routed;
  part("tradeoff").value = chosen.tradeoff ?? 0.5;
  part("knob").classList.toggle("unset", !set);
  const said = set ? spoken(chosen.tradeoff) : "as configured";
  part("tradeoff-said").textContent = routed ? said : "for auto only";
  part("tradeoff").setAttribute("aria-valuetext", said);
  part("untrade").hidden = !set || !routed;
  document.querySelector(`[name="memory"][value="${chosen.memory}"]`).checked = true;
  const knob = routed && set ? ` · ${said}` : "";
  part("summary").textContent = `${chosen.model}${knob} · ${MEMORY[chosen.memory]}`;
}

function spoken(tradeoff) {
  if (tradeoff === 0) return "best answers, whatever they cost";
  if (tradeoff === 1) return "lowest cost, whatever it answers";
  return `${Math.round(100 * tradeoff)} % towards low cost`;
}

function change(fresh) {
  Object.assign(chosen, fresh);
  browser.set("settings", chosen);
  show();
}

export async function prepare() {
  if (!(chosen.memory in MEMORY)) chosen.memory = "full";
  part("model").addEventListener("change", (event) => change({ model: event.target.value }));
  part("tradeoff").addEventListener("input", (event) => {
    change({ tradeoff: Number(event.target.value) });
  });
  part("untrade").addEventListener("click", () => {
    change({ tradeoff: null });
    part("tradeoff").focus();
  });
  part("memory").addEventListener("change", (event) => change({ memory: event.target.value }));
  part("settings").addEventListener("submit", (event) => event.preventDefault());
  part("open-settings").addEventListener("click", (event) => {
    const button = event.currentTarget;
    button.setAttribute("aria-expanded", button.getAttribute("aria-expanded") !== "true");
  });
  const names = (await models()).map((model) => model.id);
  if (!names.includes(chosen.model)) chosen.model = names[0] ?? "auto";
  part("model").replaceChildren(...names.map((name) => new Option(WORDS[name] ?? name, name)));
  show();
}
