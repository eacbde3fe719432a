// The log of a container: the last lines, then what comes, with a search that the server does.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Container } from "../gen/api";
import { address } from "../lib/api";
import { exactly } from "../lib/format";
import { Button, Icon } from "../parts/basic";
import { ansi } from "../parts/ansi";
import { t } from "../text";

interface Line {
  s: number;
  t?: string;
  m: string;
}

const most = 5000; // lines that are kept on the page

// useLog reads a log as long as it is wanted. What comes is shown in turns, so that a loud container does not stop the page.
function useLog(project: string, c: Container, tail: number, contains: string) {
  const [lines, set] = useState<Line[]>([]);
  const [state, tell] = useState<"reading" | "following" | "ended" | "lost">("reading");
  const [turn, next] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    let waiting: Line[] = [], drawn = 0, again: ReturnType<typeof setTimeout>;
    const draw = () => {
      drawn = 0;
      const came = waiting;
      waiting = [];
      set((old) => [...old, ...came].slice(-most));
    };
    const read = async () => {
      const answer = await fetch(address("GET /projects/{project}/vchs/{vch}/containers/{name}/logs",
        { path: { project, vch: c.vch, name: c.id }, query: { tail, follow: true, contains } }), { signal: abort.signal });
      if (!answer.ok || !answer.body) throw new Error(String(answer.status));
      tell("following");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n");
        rest = parts.pop()!;
        for (const p of parts) if (p) waiting.push(JSON.parse(p) as Line);
        drawn ||= requestAnimationFrame(draw);
      }
      tell("ended");
    };
    set([]);
    tell("reading");
    read().catch(() => {
      if (abort.signal.aborted) return;
      tell("lost");
      again = setTimeout(() => next((n) => n + 1), 3000);
    });
    return () => {
      abort.abort();
      cancelAnimationFrame(drawn);
      clearTimeout(again);
    };
    // A start begins to write again, so that a log that has ended goes on.
  }, [project, c.vch, c.id, tail, contains, turn, c.state === "running"]);
  return { lines, state };
}

export function LogPane({ project, c, tall }: { project: string; c: Container; tall?: boolean }) {
  const [find, setFind] = useState("");
  const [contains, setContains] = useState("");
  const [tail, setTail] = useState(200);
  const { lines, state } = useLog(project, c, tail, contains);
  const pane = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  useEffect(() => {
    const timer = setTimeout(() => setContains(find), 300);
    return () => clearTimeout(timer);
  }, [find]);
  useEffect(() => {
    if (stick.current) pane.current?.scrollTo(0, pane.current.scrollHeight);
  }, [lines]);
  const file = address("GET /projects/{project}/vchs/{vch}/containers/{name}/logs", { path: { project, vch: c.vch, name: c.id }, query: { plain: true } });
  return (
    <section class={tall ? "pane tall" : "pane"}>
      <header>
        <h2>{t.container.log}</h2>
        <div class="seg" role="group" aria-label={t.container.tail}>
          {[200, 2000, 0].map((n) => <button key={n} type="button" aria-pressed={tail === n} onClick={() => setTail(n)}>{n || t.container.all}</button>)}
        </div>
        <div class="find" role="search"><Icon name="search" />
          <input type="search" class="in" aria-label={t.container.logFind} placeholder={t.container.logFind} value={find} onInput={(e) => setFind(e.currentTarget.value)} /></div>
        <Button small icon="download" href={file} leaves download={c.name + ".log"}>{t.container.download}</Button>
      </header>
      <div class="code">
        <div class="log" ref={pane} tabIndex={0} role="log" aria-label={t.container.log} onScroll={(e) => {
          const p = e.currentTarget;
          stick.current = p.scrollHeight - p.scrollTop - p.clientHeight < 24;
        }}>
          {lines.map((l, i) => (
            <p key={i} class={l.s === 2 ? "err-line" : ""}>
              <time dateTime={l.t} title={exactly(l.t)}>{l.t ? l.t.slice(11, 19) : ""}</time><span>{ansi(l.m)}</span>
            </p>
          ))}
          {lines.length === 0 && state !== "reading" && <p class="t-soft"><span /><span>{t.container.logEmpty}</span></p>}
        </div>
        <div class="foot t-soft" role="status">
          {state === "lost" ? t.container.logLost : state === "following" ? t.container.follow : ""}{" "}{t.container.logLines(lines.length)}
        </div>
      </div>
    </section>
  );
}
