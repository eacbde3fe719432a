// Addresses of pages. They are real paths below the hub's address, whatever that is: the server writes a <base> that leads
// to it, so that the portal also works behind a proxy that adds a prefix.
import { signal } from "@preact/signals";

export const base = new URL(document.baseURI).pathname;

export interface Where {
  path: string; // below base, with a leading slash, as in the address: parts are still escaped
  query: URLSearchParams;
}

function read(): Where {
  const p = location.pathname;
  return { path: "/" + (p.startsWith(base) ? p.slice(base.length) : ""), query: new URLSearchParams(location.search) };
}

export const where = signal<Where>(read());

// moved counts the pages that were opened by a click: those move the focus to their heading.
export const moved = signal(0);

// href is the address of a page, for links.
export function href(path: string, query?: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) {
    if (v !== undefined && v !== "") q.set(k, String(v));
  }
  const text = q.toString();
  return base + path.replace(/^\//, "") + (text ? "?" + text : "");
}

// go opens a page.
export function go(address: string, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  where.value = read();
  if (!replace) {
    moved.value++;
    document.querySelector(".sheet")?.scrollTo(0, 0);
    scrollTo(0, 0);
  }
}

// setQuery changes parts of the query of the page that is open. An empty value takes the part away.
export function setQuery(change: Record<string, string | number | undefined>, replace = true) {
  const q = new URLSearchParams(location.search);
  for (const [k, v] of Object.entries(change)) {
    if (v === undefined || v === "") q.delete(k);
    else q.set(k, String(v));
  }
  const text = q.toString();
  history[replace ? "replaceState" : "pushState"](null, "", location.pathname + (text ? "?" + text : ""));
  where.value = read();
}

// escapePath escapes a name whose slashes separate parts of the address too.
export function escapePath(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

// match compares a path with a pattern such as "/projects/:project/members"; a last part ":name*" takes all that is left.
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const want = pattern.split("/"), have = path.replace(/\/$/, "").split("/");
  const out: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    const w = want[i];
    if (w.startsWith(":") && w.endsWith("*")) {
      if (have.length <= i) return undefined;
      out[w.slice(1, -1)] = have.slice(i).map(decode).join("/");
      return out;
    }
    if (have[i] === undefined) return undefined;
    if (w.startsWith(":")) out[w.slice(1)] = decode(have[i]);
    else if (w !== have[i]) return undefined;
  }
  return want.length === have.length ? out : undefined;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// begin makes clicks on links to pages stay in this document.
export function begin() {
  document.querySelector("base")!.href = base; // from now on it leads there from every address
  addEventListener("popstate", () => (where.value = read()));
  document.addEventListener("click", (e) => {
    const a = (e.target as Element).closest?.("a");
    if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.hasAttribute("download")) return;
    const to = new URL(a.href);
    if (to.origin !== location.origin || !to.pathname.startsWith(base) || a.hasAttribute("data-leaves")) return;
    if (to.hash && to.pathname === location.pathname) return;
    e.preventDefault();
    document.querySelector<HTMLElement>("[popover]:popover-open")?.hidePopover();
    go(to.pathname + to.search);
  });
}
