// Tables of the API's lists: paged, ordered and filtered by the server, with all of it in the address.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Listed } from "../lib/load";
import { turnTo } from "../lib/load";
import { setQuery } from "../lib/router";
import { t } from "../text";
import { Bones, Icon, Trouble } from "./basic";

export interface Column<R> {
  title: string;
  cell: (row: R) => ComponentChildren;
  sort?: string; // the key that the API orders by
  head?: boolean; // it names the row
  num?: boolean;
  act?: boolean; // buttons of the row
  less?: boolean; // not on a telephone
  fill?: boolean; // takes the room that is left
}

interface TableProps<R> {
  list: Listed<R>;
  columns: Column<R>[];
  of: (row: R) => string | number; // the key of a row
  label: string;
  name?: string; // of the list in the address, when a page has several
  empty?: ComponentChildren; // there is nothing at all
  panel?: boolean; // in a frame, else as wide as the page
  stale?: (row: R) => boolean;
}

export function Table<R>(p: TableProps<R>) {
  const { list } = p, n = p.name ?? "";
  if (list.error && !list.value) return <div class="body"><Trouble error={list.error} again={list.again} /></div>;
  if (!list.value) return <div class="body"><Bones lines={6} /></div>;
  if (list.value.length === 0 && list.page === 1) {
    return list.find ? <p class="nothing" role="status">{t.table.nothing(list.find)}</p> : <>{p.empty ?? <p class="nothing">{t.table.none}</p>}</>;
  }
  const order = (key: string) => setQuery({ [n + "sort"]: list.sort === key ? "-" + key : key, [n + "page"]: undefined });
  return (
    <div class={p.panel ? "panel" : "flush"} aria-busy={list.loading}>
      {list.error && <Trouble error={list.error} again={list.again} />}
      <div class="wide">
        <table class="grid cards" aria-label={p.label}>
          <thead><tr>
            {p.columns.map((c) => <Head key={c.title} column={c} sort={list.sort} order={order} />)}
          </tr></thead>
          <tbody>
            {list.value.map((row) => (
              <tr key={p.of(row)} class={p.stale?.(row) ? "stale-row" : ""}>{p.columns.map((c) => <Cell key={c.title} column={c} row={row} />)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager list={list} name={n} />
    </div>
  );
}

function Head<R>({ column: c, sort, order }: { column: Column<R>; sort: string; order: (key: string) => void }) {
  const here = c.sort !== undefined && sort.replace("-", "") === c.sort, down = sort.startsWith("-");
  return (
    <th scope="col" class={(c.num ? "num " : "") + (c.act ? "more" : "")} aria-sort={here ? (down ? "descending" : "ascending") : undefined}>
      {c.sort ? <button type="button" onClick={() => order(c.sort!)}>{c.title}<Icon name={here ? (down ? "arrow-down" : "arrow-up") : "chevrons-up-down"} /></button>
        : c.act ? <span class="off">{c.title}</span> : c.title}
    </th>
  );
}

function Cell<R>({ column: c, row }: { column: Column<R>; row: R }) {
  if (c.head) return <th scope="row">{c.cell(row)}</th>;
  const style = [c.num && "num", c.act && "more", c.less && "opt", c.fill && "fill"].filter(Boolean).join(" ");
  return <td data-l={c.act ? undefined : c.title} class={style}>{c.act ? c.cell(row) : <span class="v">{c.cell(row)}</span>}</td>;
}

function Pager<R>({ list, name }: { list: Listed<R>; name: string }) {
  const last = Math.ceil(list.total / list.size), first = (list.page - 1) * list.size + 1;
  if (last <= 1 && list.page === 1) return null;
  return (
    <nav class="pager" aria-label={t.table.pages}>
      <span class="soft" role="status">{t.table.range(first, first + (list.value?.length ?? 0) - 1, list.total)}</span>
      <button type="button" class="btn s" disabled={list.page <= 1} onClick={() => turnTo(list.page - 1, name)}>{t.table.previous}</button>
      <button type="button" class="btn s" disabled={list.page >= last} onClick={() => turnTo(list.page + 1, name)}>{t.table.next}</button>
    </nav>
  );
}

// Find filters a list while one types; the server is asked when the typing pauses.
export function Find({ label, value, name = "" }: { label: string; value: string; name?: string }) {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <div class="find" role="search">
      <Icon name="filter" />
      <input type="search" class="in" aria-label={label} placeholder={label} defaultValue={value} onInput={(e) => {
        const text = e.currentTarget.value.trim();
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setQuery({ [name + "find"]: text, [name + "page"]: undefined }), 250);
      }} />
    </div>
  );
}
