// What a model is shown of the conversation: everything, the most similar turns, or nothing.

const SIMILAR = 3;
const vectors = new Map(); // of questions asked before

// Return the messages for *question*, and which of the earlier *turns* they hold.
export async function recall(memory, turns, question, embed) {
  const answered = turns.filter((turn) => turn.answer && !turn.trouble);
  const shown = memory === "full" ? answered
    : memory === "similar" ? await similar(answered, question, embed)
    : [];
  const messages = shown.flatMap((turn) => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.answer },
  ]);
  return { messages: [...messages, { role: "user", content: question }], shown: shown.length };
}

// The turns whose questions are most like this one, in the order they were asked.
async function similar(turns, question, embed) {
  if (turns.length <= SIMILAR) return turns;
  const texts = [question, ...turns.map((turn) => turn.question)];
  const unknown = [...new Set(texts)].filter((text) => !vectors.has(text));
  if (unknown.length) {
    const found = await embed(unknown);
    unknown.forEach((text, place) => vectors.set(text, found[place]));
  }
  const likeness = new Map(
    turns.map((turn) => [turn, cosine(vectors.get(question), vectors.get(turn.question))]),
  );
  const best = [...turns].sort((a, b) => likeness.get(b) - likeness.get(a)).slice(0, SIMILAR);
  return turns.filter((turn) => best.includes(turn));
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, place) => sum + value * y[place], 0);
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
}
