// The server's API, as far as the pages need it.
import { key, unlock } from "./key.js";
import { events } from "./sse.js";

// The server's own sentence about why it will not.
export class Refused extends Error {}

async function asked(path, body, { signal, headers } = {}) {
  for (;;) {
    const used = key();
    const response = await reached(path, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(used && { Authorization: `Bearer ${used}` }),
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal,
    });
    if (response.ok) return response;
    const why = await reason(response);
    if (response.status !== 401) throw new Refused(why);
    if (used === key()) { // else another request has brought a new one meanwhile
      await unlock(used ? `That key was not accepted: ${why}` : "This server wants a key.");
    }
  }
}

async function reached(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached. Is it still running?");
  }
}

async function reason(response) {
  const wait = Number(response.headers.get("Retry-After"));
  const then = wait > 0 ? ` Try again in ${Math.ceil(wait)} s.` : "";
  try {
    const { error } = await response.json();
    return `${whole(error.message)}${then}`;
  } catch {
    return `The server answered with status ${response.status}.${then}`;
  }
}

// A message as a whole sentence.
export function whole(message) {
  return `${message[0].toUpperCase()}${message.slice(1)}${/[.!?)]$/.test(message) ? "" : "."}`;
}

export async function models() {
  return (await (await asked("/v1/models")).json()).data;
}

export async function stats() {
  return (await asked("/v1/stats")).json();
}

export async function embed(texts) {
  const response = await asked("/v1/embeddings", { model: "auto", input: texts });
  const { data } = await response.json();
  return data.sort((a, b) => a.index - b.index).map((row) => row.embedding);
}

export async function feedback(id, reward) {
  await asked("/v1/feedback", { id, reward });
}

// Ask; returns which model was chosen, as soon as it is known, and the events of its answer.
export async function chat(payload, conversation, signal) {
  const headers = { "x-llmrouter-conversation": conversation };
  const body = { ...payload, stream: true };
  const response = await asked("/v1/chat/completions", body, { signal, headers });
  return {
    id: response.headers.get("x-llmrouter-id"),
    model: decodeURIComponent(response.headers.get("x-llmrouter-model") ?? ""),
    events: events(response.body),
  };
}
