// What outlives a reload: in this tab only, or in this browser. A browser may forbid either.

class Shelf {
  constructor(open) {
    this.open = open;
    this.memory = new Map();
  }

  get(name, otherwise) {
    try {
      return JSON.parse(this.open().getItem(`llmrouter.${name}`)) ?? otherwise;
    } catch {
      return this.memory.get(name) ?? otherwise;
    }
  }

  set(name, value) {
    try {
      this.open().setItem(`llmrouter.${name}`, JSON.stringify(value));
    } catch {
      this.memory.set(name, value); // forbidden, or full
    }
  }
}

export const tab = new Shelf(() => sessionStorage);
export const browser = new Shelf(() => localStorage);
