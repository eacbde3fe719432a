// Which rows of a long table are near what can be seen. All rows have one height, which the table's own rows tell.
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

interface Window {
  from: number;
  to: number;
  before: number; // pixels of the rows that are not there
  after: number;
}

const few = 200; // up to here all rows are there
const more = 20; // beyond what can be seen, on each side

export function useWindow(box: RefObject<HTMLElement | null>, count: number): Window {
  const [at, move] = useState({ from: 0, to: 80, height: 35 });
  useEffect(() => {
    if (count <= few) return;
    let asked = 0;
    const look = () => {
      asked = 0;
      const table = box.current?.querySelector("tbody");
      if (!table) return;
      const row = table.querySelector<HTMLElement>("tr:not(.gap, .band)");
      const height = row?.offsetHeight || 35, top = table.getBoundingClientRect().top;
      const from = Math.max(0, Math.floor(-top / height) - more), to = Math.min(count, Math.ceil((innerHeight - top) / height) + more);
      move((old) => (old.from === from && old.to === to && old.height === height ? old : { from, to, height }));
    };
    const soon = () => (asked ||= requestAnimationFrame(look));
    look();
    addEventListener("scroll", soon, { capture: true, passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(asked);
      removeEventListener("scroll", soon, { capture: true });
      removeEventListener("resize", soon);
    };
  }, [count]);
  if (count <= few) return { from: 0, to: count, before: 0, after: 0 };
  const from = Math.min(at.from, Math.max(0, count - 1)), to = Math.min(Math.max(at.to, from), count);
  return { from, to, before: from * at.height, after: (count - to) * at.height };
}
