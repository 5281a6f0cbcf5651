// The answer for those who listen: sentence by sentence, for half a word cannot be spoken.

const SENTENCE = /^[\s\S]*?(?:[.!?:](?=\s)|\n)/;
const LONGEST = 400; // characters after which a sentence is said as far as it has come

export class Voice {
  constructor(region) {
    this.region = region;
    this.rest = "";
  }

  start() {
    this.region.replaceChildren();
    this.rest = "";
  }

  add(text) {
    this.rest += text;
    for (let found; (found = SENTENCE.exec(this.rest)); ) {
      this.rest = this.rest.slice(found[0].length);
      this.say(found[0]);
    }
    if (this.rest.length > LONGEST) {
      const cut = this.rest.lastIndexOf(" ") + 1 || this.rest.length;
      this.say(this.rest.slice(0, cut));
      this.rest = this.rest.slice(cut);
    }
  }

  // Say what is left, and *last* after it.
  end(last) {
    this.say(this.rest);
    this.rest = "";
    this.say(last);
  }

  say(text) {
    if (!/[\p{L}\p{N}]/u.test(text)) return;
    const line = document.createElement("p");
    line.textContent = text.trim();
    this.region.append(line);
  }
}
