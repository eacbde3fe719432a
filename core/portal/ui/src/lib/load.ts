// Loading what a page shows. What was there stays while it is loaded anew, so that nothing flickers.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Operations } from "../gen/api";
import { call, Failure, type Given, type Operation } from "./api";
import { setQuery, where } from "./router";

export interface Loaded<T> {
  value?: T;
  error?: Failure;
  loading: boolean;
  again: () => void;
}

// useLoad calls load when key changes, and when again is called. A key of undefined loads nothing.
export function useLoad<T>(key: string | undefined, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, set] = useState<{ key?: string; value?: T; error?: Failure; loading: boolean }>({ loading: key !== undefined });
  const [turn, next] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    if (key === undefined) return;
    const abort = new AbortController();
    set((old) => ({ key, value: old.key === key ? old.value : undefined, loading: true }));
    latest.current(abort.signal).then(
      (value) => abort.signal.aborted || set({ key, value, loading: false }),
      (error) => abort.signal.aborted || set((old) => ({ key, value: old.value, error: asFailure(error), loading: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  const again = useCallback(() => next((n) => n + 1), []);
  return { value: state.key === key ? state.value : undefined, error: state.key === key ? state.error : undefined, loading: state.loading, again };
}

export function asFailure(e: unknown): Failure {
  return e instanceof Failure ? e : new Failure(0, "", String(e));
}

// useGet loads one answer.
export function useGet<K extends Operation>(op: K | undefined, given: Given<K> = {}): Loaded<Operations[K]["gives"]> {
  const key = op && op + JSON.stringify([given.path, given.query]);
  return useLoad(key, async (signal) => (await call(op!, { ...given, signal })).value);
}

export interface Listed<R> extends Loaded<R[]> {
  total: number;
  page: number;
  size: number;
  sort: string;
  find: string;
}

export const pageSize = 25;

type Row<T> = T extends (infer R)[] ? R : never;

// useList loads a page of a list. Page, order and filter are in the address of the page, after name when it shows several.
export function useList<K extends Operation>(
  op: K | undefined, given: Given<K>, o: { filter?: (text: string) => Record<string, string>; sort?: string; name?: string; size?: number } = {},
): Listed<Row<Operations[K]["gives"]>> {
  const q = where.value.query, n = o.name ?? "", size = o.size ?? pageSize;
  const page = Number(q.get(n + "page") ?? 1), sort = q.get(n + "sort") ?? o.sort ?? "", find = q.get(n + "find") ?? "";
  const query = { ...given.query, ...(find && o.filter ? o.filter(find) : {}), page, page_size: size, ...(sort ? { sort } : {}) };
  const key = op && op + JSON.stringify([given.path, query]);
  const [total, setTotal] = useState(0);
  const loaded = useLoad(key, async (signal) => {
    const answer = await call(op!, { ...given, query: query as Given<K>["query"], signal });
    setTotal(answer.total);
    return answer.value as Row<Operations[K]["gives"]>[];
  });
  return { ...loaded, total, page, size, sort, find };
}

export function turnTo(page: number, name = "") {
  setQuery({ [name + "page"]: page === 1 ? undefined : page }, false);
}
