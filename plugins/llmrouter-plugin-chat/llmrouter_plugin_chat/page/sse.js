// Server-sent events, as the HTML standard reads them, of which only `data` matters here.

const END = "[DONE]";

// Yield each event's JSON. The stream is read to its end: whoever leaves at `[DONE]` may seem to
// have left in the middle.
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return; // an event without its blank line is not an event
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        if (line || !data.length) continue;
        const text = data.join("\n");
        data = [];
        if (text !== END) yield JSON.parse(text);
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may have failed already
  }
}
