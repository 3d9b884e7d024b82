// Asks the operator's port, with the token if there is one, and says in words why something was not answered.

/** How long an answer may take, in milliseconds. The tap has no end. */
const PATIENCE_MS = 5000;
const TOKEN = "micronotifier-admin-token";

/** The node asks for a token, or for another one. */
export class TokenNeeded extends Error {}

/** The node has answered, and refused. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export const token = {
  isGiven: () => sessionStorage.getItem(TOKEN) !== null,
  forget: () => sessionStorage.removeItem(TOKEN),
  /** Keeps a token until the tab is closed; `false` for what no request can carry. */
  keep(text) {
    const fits = /^[\x21-\x7e]+$/.test(text);
    if (fits) sessionStorage.setItem(TOKEN, text);
    return fits;
  },
};

/** Asks, and returns the answer whatever its status. */
export async function fetchWithToken(path, options = {}) {
  const given = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(given ? { Authorization: `Bearer ${given}` } : {}) };
  const signal = options.signal ?? AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(path, { ...options, headers, signal });
  if (answer.status === 401) throw new TokenNeeded();
  return answer;
}

/** Asks, and throws what is refused, with the node's words. */
export async function ask(path, options) {
  const answer = await fetchWithToken(path, options);
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, error ?? `${path} answers ${answer.status}`);
}

export const askJson = async (path, options) => (await ask(path, options)).json();
export const askText = async (path, options) => (await ask(path, options)).text();

/** Puts what is not empty behind a path. */
export function withQuery(path, pairs) {
  return `${path}?${new URLSearchParams(Object.entries(pairs).filter(([, value]) => value !== ""))}`;
}

export function sendEvent(app, channel, name, data) {
  return ask(withQuery("/events", { app }), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, channel, data }),
  });
}

/** Says why something was not answered. */
export function words(error) {
  if (error instanceof TokenNeeded) return "the token is not the node's";
  // whose body was not all there in time was aborted
  if (["TimeoutError", "AbortError"].includes(error.name)) return `the node has not answered for ${PATIENCE_MS / 1000} s`;
  // what fetch and a broken stream throw: the browser's own words differ
  if (error instanceof TypeError) return "the node cannot be reached";
  return error.message;
}
