// The client of the hub's API. Its types are made from docs/hub-openapi.json, so that a call that the document does not have
// is no program; core/portal's Go tests compare the names of the calls with the document once more.
import { signal } from "@preact/signals";
import type { Operations } from "../gen/api";
import { base } from "./router";
import { t } from "../text";

export type Operation = keyof Operations;
type Path<K extends Operation> = Operations[K]["path"];
type Query<K extends Operation> = Operations[K]["query"];
type Param = string | number | boolean | undefined;

export interface Given<K extends Operation> {
  path?: Record<Path<K>, string | number>;
  query?: Partial<Record<Query<K>, Param>>;
  body?: Operations[K]["body"];
  signal?: AbortSignal;
}

export interface Answer<T> {
  value: T;
  total: number; // of a list: all that there are, also on other pages
}

// Failure is a refusal, in the server's words as far as it has some.
export class Failure extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

// signedOut counts the answers that said that the session is over.
export const signedOut = signal(0);

const prefix = "api/v2.0";

// address is where an operation is, below the hub's own address.
export function address<K extends Operation>(op: K, given: Given<K> = {}): string {
  const [, template] = op.split(" ", 2);
  const values = (given.path ?? {}) as Record<string, string | number>;
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const v = encodeURIComponent(String(values[name]));
    return name === "repository" ? encodeURIComponent(v) : v; // it has slashes, and proxies on the way undo one escape
  });
  const query = new URLSearchParams();
  for (const [k, v] of Object.entries((given.query ?? {}) as Record<string, Param>)) {
    if (v !== undefined && v !== "") query.set(k, String(v));
  }
  const text = query.toString();
  return base + prefix + path + (text ? "?" + text : "");
}

// call asks the hub. It throws a Failure for what is not done, and for a hub that does not answer.
export async function call<K extends Operation>(op: K, given: Given<K> = {}): Promise<Answer<Operations[K]["gives"]>> {
  const [method] = op.split(" ", 1);
  const init: RequestInit = { method, credentials: "same-origin", signal: given.signal, headers: { "X-Is-Resource-Name": "true" } };
  if (given.body !== undefined) {
    init.body = JSON.stringify(given.body);
    init.headers = { ...init.headers, "Content-Type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(address(op, given), init);
  } catch (e) {
    if (given.signal?.aborted) throw e;
    throw new Failure(0, "UNREACHABLE", t.errors.unreachable);
  }
  const text = await answer.text();
  const json = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
  if (!answer.ok) {
    if (answer.status === 401 && op !== "POST /sign-in" && op !== "GET /users/current") signedOut.value++;
    throw refusal(answer, json ? text : "");
  }
  const value = (json && text ? JSON.parse(text) : text) as Operations[K]["gives"];
  return { value, total: Number(answer.headers.get("X-Total-Count") ?? (Array.isArray(value) ? value.length : 0)) };
}

function refusal(answer: Response, text: string): Failure {
  let code = "", message = "";
  try {
    const first = JSON.parse(text).errors[0];
    code = first.code;
    message = first.message;
  } catch {
    // something between the page and the hub has answered
  }
  if (answer.status === 403 && message === "") message = t.errors.forbidden;
  return new Failure(answer.status, code, message || t.errors.status(answer.status));
}

let routes: Promise<Set<string>> | undefined;

// offers says whether this hub has an operation that the document may get later: parts of a page wait for it.
export async function offers(op: string): Promise<boolean> {
  routes ??= call("GET /openapi.json").then(({ value }) => {
    const all = new Set<string>();
    for (const [path, methods] of Object.entries((value as { paths: Record<string, object> }).paths)) {
      for (const method of Object.keys(methods)) all.add(method.toUpperCase() + " " + path);
    }
    return all;
  }).catch(() => {
    routes = undefined;
    return new Set<string>();
  });
  return (await routes).has(op);
}
