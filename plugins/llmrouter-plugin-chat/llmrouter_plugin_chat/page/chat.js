// The chat page: asks, shows the answer as it comes, keeps the conversation.
import { chat, embed, feedback, Refused, whole } from "./api.js";
import { dollars, many } from "./figures.js";
import { tab } from "./kept.js";
import { recall } from "./recall.js";
import { fields, prepare, settings } from "./settings.js";
import { View } from "./turn.js";
import { Voice } from "./voice.js";

const part = (id) => document.getElementById(id);
const question = part("question");
const scroll = part("scroll");
const voice = new Voice(part("voice"));
let turns = [];
let conversation = tab.get("conversation", null) ?? fresh();
let stop = null; // of the answer that is coming

// ------------------------------------------------------------------ asking

async function ask(text) {
  const earlier = [...turns];
  const turn = { question: text, answer: "" };
  const view = add(turn);
  const started = performance.now();
  stop = new AbortController();
  voice.start();
  busy(true);
  view.paint(true);
  follow(true);
  try {
    const { messages, shown } = await recall(settings().memory, earlier, text, embed);
    turn.shown = shown;
    const answer = await chat({ ...fields(), messages }, conversation, stop.signal);
    Object.assign(turn, { id: answer.id, model: answer.model });
    for await (const event of answer.events) {
      voice.add(take(turn, event));
      const near = reading();
      view.change(() => follow(near));
    }
    if (!turn.finish) throw new Refused("The answer was cut off: the connection ended too early.");
  } catch (error) {
    if (stop.signal.aborted) turn.stopped = true;
    else turn.trouble = sentence(error);
  }
  turn.seconds = (performance.now() - started) / 1000;
  const near = reading();
  view.paint();
  follow(near);
  voice.end(turn.finish ? `Answered by ${turn.model}, ${dollars(turn.cost)}.` : "");
  stop = null;
  busy(false);
  keep();
}

// Take what an event tells into *turn*; returns its new text.
function take(turn, event) {
  if (event.error) throw new Refused(whole(event.error.message));
  const choice = event.choices?.[0];
  const text = choice?.delta?.content ?? "";
  turn.answer += text;
  turn.finish = choice?.finish_reason ?? turn.finish;
  turn.tokens = event.usage?.completion_tokens ?? turn.tokens;
  for (const name of ["id", "model", "reason", "cost", "scores"]) {
    turn[name] = event.llmrouter?.[name] ?? turn[name];
  }
  return text;
}

function sentence(error) {
  if (error instanceof Refused) return error.message;
  console.error(error);
  return "The answer could not be read. Ask again.";
}

// ------------------------------------------------------------------ turns

function add(turn) {
  turns.push(turn);
  const view = new View(turn, act);
  part("turns").append(view.node);
  part("welcome").hidden = true;
  return view;
}

const ACTS = {
  good: (view) => judge(view, 1),
  bad: (view) => judge(view, 0),
  async copy({ turn }) {
    try {
      await navigator.clipboard.writeText(turn.answer);
      voice.say("Copied.");
    } catch {
      throw new Refused("The browser does not allow copying here.");
    }
  },
  async again(view) {
    if (stop) return;
    if (view.turn.trouble) remove(view);
    await ask(view.turn.question);
  },
};

async function act(name, view) {
  try {
    await ACTS[name](view);
  } catch (error) {
    view.notice(sentence(error));
  }
}

async function judge(view, reward) {
  const before = view.turn.reward;
  view.turn.reward = reward;
  view.paint();
  try {
    await feedback(view.turn.id, reward);
    voice.say("Thank you.");
  } catch (error) {
    view.turn.reward = before;
    throw error;
  } finally {
    view.paint();
    keep();
  }
}

function remove(view) {
  turns = turns.filter((turn) => turn !== view.turn);
  view.node.remove();
}

// A name for a new conversation, by which the server can keep it on one model.
function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function keep() {
  tab.set("turns", turns);
  tab.set("conversation", conversation);
  const costs = turns.map((turn) => turn.cost).filter(Number.isFinite);
  const sum = costs.reduce((all, cost) => all + cost, 0);
  part("total").textContent = turns.length
    ? `This conversation: ${many(turns.length, "turn")}, ${dollars(sum)}`
    : "";
}

// ------------------------------------------------------------------ the page

function busy(is) {
  part("send").hidden = is;
  part("stop").hidden = !is;
  ready();
}

function ready() {
  part("send").disabled = !question.value.trim();
  question.style.height = "auto"; // so that it may shrink
  question.style.height = `${question.scrollHeight + 2}px`;
}

function reading() {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
}

// Keep the end in sight, but only of whoever was looking at it.
function follow(near) {
  if (near) scroll.scrollTop = scroll.scrollHeight;
}

function send() {
  const text = question.value.trim();
  if (!text || stop) return;
  question.value = "";
  ask(text);
}

function cancel() {
  stop?.abort();
  question.focus();
}

part("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
question.addEventListener("input", ready);
question.addEventListener("keydown", (event) => {
  const touch = matchMedia("(pointer: coarse)").matches; // there Enter is the only way to a new line
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch) return;
  event.preventDefault();
  send();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && stop) cancel();
});
part("stop").addEventListener("click", cancel);
part("clear").addEventListener("click", () => {
  stop?.abort();
  turns = [];
  conversation = fresh();
  part("turns").replaceChildren();
  part("welcome").hidden = false;
  keep();
  question.focus();
});

for (const turn of tab.get("turns", [])) add(turn).paint();
keep();
ready();
follow(true);
question.focus();
prepare().catch((error) => {
  part("summary").textContent = sentence(error);
  part("total").textContent = sentence(error);
});
