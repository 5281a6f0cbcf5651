// Requests a minute, from a counter that is looked at now and then.

const SPAN = 300; // seconds kept
const WINDOW = 10; // seconds over which a rate is taken

export class Rate {
  constructor() {
    this.seen = []; // [seconds, counter]
  }

  add(now, counter) {
    if (this.seen.length && counter < this.seen.at(-1)[1]) this.seen = []; // the server restarted
    this.seen.push([now, counter]);
    while (now - this.seen[0][0] > SPAN) this.seen.shift();
  }

  // Return [seconds ago, requests a minute], oldest first.
  points(now) {
    const found = [];
    let first = 0;
    this.seen.forEach(([when, counter], place) => {
      while (when - this.seen[first][0] > WINDOW) first += 1;
      if (!place) return;
      const [before, earlier] = this.seen[Math.min(first, place - 1)];
      found.push([now - when, (60 * (counter - earlier)) / Math.max(when - before, 1e-3)]);
    });
    return found;
  }
}
