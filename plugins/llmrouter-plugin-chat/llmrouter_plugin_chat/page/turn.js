// One turn on the page: the question, the answer as it comes, and what is known of it.
import { count, dollars, seconds } from "./figures.js";
import { render } from "./markdown.js";
import { element } from "./elements.js";
import { reasons } from "./why.js";

export class View {
  constructor(turn, act) {
    this.turn = turn;
    const made = document.getElementById("turn").content.cloneNode(true);
    this.node = made.firstElementChild;
    this.part = (selector) => this.node.querySelector(selector);
    this.part(".question").textContent = turn.question;
    this.node.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act]");
      if (button) act(button.dataset.act, this);
    });
    this.part(".why").addEventListener("toggle", ({ target }) => {
      if (target.open) target.scrollIntoView({ block: "nearest" });
    });
    this.due = 0;
    this.pause = 0; // milliseconds between two paintings of an answer that is still coming
  }

  // Paint soon; a long answer is painted less often, for each time all of it is rendered.
  change(after) {
    this.due ||= setTimeout(() => {
      const started = performance.now();
      this.paint(true);
      this.pause = Math.max(40, 4 * (performance.now() - started));
      after();
    }, this.pause);
  }

  paint(coming = false) {
    clearTimeout(this.due);
    this.due = 0;
    const { turn } = this;
    this.part("article").setAttribute("aria-busy", coming);
    this.part(".text").replaceChildren(render(turn.answer));
    this.part(".waiting").hidden = !coming || turn.answer !== "";
    this.part(".trouble").hidden = !turn.trouble;
    this.part(".trouble").textContent = turn.trouble ?? "";
    this.part(".facts").replaceChildren(...facts(turn));
    if (coming) return;
    this.part(".acts").hidden = false;
    this.act("copy").hidden = !turn.answer;
    this.act("good").hidden = this.act("bad").hidden = !turn.id || Boolean(turn.trouble);
    this.act("good").setAttribute("aria-pressed", turn.reward === 1);
    this.act("bad").setAttribute("aria-pressed", turn.reward === 0);
    const why = reasons(turn);
    this.part(".why").hidden = !why.length;
    this.part(".reasons").replaceChildren(...why);
  }

  // Tell what did not work, beside the buttons.
  notice(text) {
    this.part(".notice").textContent = text;
  }

  act(name) {
    return this.part(`[data-act="${name}"]`);
  }
}

function facts(turn) {
  const others = [
    turn.cost !== undefined && dollars(turn.cost),
    turn.tokens && `${count(turn.tokens)} tokens`,
    turn.seconds && seconds(turn.seconds),
    turn.shown > 0 && `saw ${turn.shown} earlier turn${turn.shown === 1 ? "" : "s"}`,
    turn.finish === "length" && "cut at its limit of tokens",
    turn.stopped && "stopped by you",
  ].filter(Boolean);
  if (!turn.model) return turn.stopped ? ["stopped by you"] : [];
  return [element("b", turn.model), ...others.map((text) => ` · ${text}`)];
}
