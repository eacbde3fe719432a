// What a container uses, a point every two seconds while the page is open. The line ends where the data ends.
import { useEffect, useState } from "preact/hooks";
import type { Container } from "../gen/api";
import { call } from "../lib/api";
import { bytes } from "../lib/format";
import { t } from "../text";

interface Point {
  at: number; // milliseconds
  cpu: number; // of one CPU, 1 is all of it
  memory: number; // bytes
}

// Stats is what is read of Docker's answer.
interface Stats {
  read?: string;
  cpu_stats?: { cpu_usage?: { total_usage?: number }; online_cpus?: number };
  memory_stats?: { usage?: number; limit?: number; stats?: { inactive_file?: number } };
}

const every = 2000, keep = 3600_000; // milliseconds

export function Charts({ project, c, memory, cpus }: { project: string; c: Container; memory?: number; cpus?: number }) {
  const [points, set] = useState<Point[]>([]);
  const [limit, setLimit] = useState(0);
  const on = c.state === "running";
  useEffect(() => {
    if (!on) return;
    const abort = new AbortController();
    let before: { at: number; used: number } | undefined, timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const { value } = await call("GET /projects/{project}/vchs/{vch}/containers/{name}/stats",
          { path: { project, vch: c.vch, name: c.id }, query: { stream: false, "one-shot": true }, signal: abort.signal });
        const s = value as Stats, at = s.read ? new Date(s.read).getTime() : Date.now(), used = s.cpu_stats?.cpu_usage?.total_usage ?? 0;
        const m = Math.max(0, (s.memory_stats?.usage ?? 0) - (s.memory_stats?.stats?.inactive_file ?? 0));
        if (before && at > before.at) {
          const cpu = Math.max(0, (used - before.used) / ((at - before.at) * 1e6));
          set((old) => [...old.filter((p) => p.at > at - keep), { at, cpu, memory: m }]);
        }
        before = { at, used };
        setLimit(s.memory_stats?.limit ?? 0);
      } catch {
        // the state of the container or of its VCH tells why
      }
      if (!abort.signal.aborted) timer = setTimeout(ask, every);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [on, c.vch, c.id]);
  const most = memory ?? limit, n = cpus ?? 1, last = points.at(-1);
  return (
    <div class="charts">
      <Chart title={t.container.cpu} about={t.container.of(String(n) + " CPU")} now={last && on ? Math.round((last.cpu / n) * 100) + " %" : undefined}
        points={points.map((p) => [p.at, p.cpu / n])} top={1} label={(v) => Math.round(v * 100) + " %"} on={on} />
      <Chart title={t.container.memory} about={most ? t.container.of(bytes(most)) : ""} now={last && on ? bytes(last.memory) : undefined} second
        points={points.map((p) => [p.at, p.memory])} top={most || Math.max(1, ...points.map((p) => p.memory * 1.2))} label={bytes} on={on} />
    </div>
  );
}

interface ChartProps {
  title: string;
  about: string;
  now?: string;
  points: [at: number, value: number][];
  top: number;
  label: (v: number) => string;
  second?: boolean;
  on: boolean;
}

const box = { left: 60, right: 312, top: 12, bottom: 120 };

function Chart({ title, about, now, points, top, label, second, on }: ChartProps) {
  const end = points.at(-1)?.[0] ?? 0, begin = Math.min(points[0]?.[0] ?? 0, end - 60_000);
  const x = (at: number) => box.left + ((at - begin) / (end - begin || 1)) * (box.right - box.left);
  const y = (v: number) => box.bottom - (Math.min(v, top) / top) * (box.bottom - box.top);
  const line = points.map(([at, v], i) => `${i ? "L" : "M"}${x(at).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const clock = (at: number) => new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return (
    <figure class={second ? "chart panel m" : "chart panel"}>
      <figcaption><b>{title}</b><span class="soft small">{about}</span>{now && <span class="now">{now}</span>}</figcaption>
      <svg viewBox="0 0 320 140" role="img" aria-label={now ? t.container.chart(title, now) : t.container.noData}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}><line class="g" x1={box.left} x2={box.right} y1={y(part * top)} y2={y(part * top)} />
            <text x={box.left - 6} y={y(part * top) + 3} text-anchor="end">{label(part * top)}</text></g>
        ))}
        {points.length > 1 && (
          <>
            <text x={box.left} y="135">{clock(begin)}</text><text x={box.right} y="135" text-anchor="end">{clock(end)}</text>
            <path class="ar" d={`${line}L${x(end)} ${box.bottom}L${x(points[0][0])} ${box.bottom}Z`} /><path class="ln" d={line} />
          </>
        )}
        {!on && <text x="182" y="70" text-anchor="middle">{t.container.noData}</text>}
      </svg>
    </figure>
  );
}
