// The task panel: what was begun in the last day, how it goes, why it failed. Closed, it still counts.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Execution } from "../gen/api";
import { call } from "../lib/api";
import { seconds } from "../lib/format";
import { useLoad } from "../lib/load";
import { may } from "../lib/session";
import { Icon, State, Time, type Kind } from "../parts/basic";
import { t } from "../text";

const narrow = matchMedia("(max-width: 52rem)");

export const tasksOpen = signal(false);

// Task is a row of the panel.
export interface Task {
  id: string;
  kind: Kind;
  state: string;
  what: string;
  where: string;
  who: string;
  started: string;
  ended?: string;
  result: string;
}

// sources are where tasks come from. Other parts of the portal add theirs.
export const sources: ((signal: AbortSignal) => Promise<Task[]>)[] = [jobs];

const day = 24 * 3600_000;

async function jobs(signal: AbortSignal): Promise<Task[]> {
  if (!may("configuration:manage")) return [];
  const { value } = await call("GET /jobservice/jobs", { query: { page_size: 50 }, signal });
  return value.filter((x) => new Date(x.start_time).getTime() > Date.now() - day).map(taskOf);
}

const kinds: Record<string, Kind> = { Running: "busy", Success: "done", Succeed: "done", Finished: "done", Error: "ill", Stopped: "stop", Pending: "wait", Scheduled: "wait" };

export function stateKind(status: string): Kind {
  return kinds[status] ?? "wait";
}

export function taskOf(x: Execution): Task {
  return {
    id: "job" + x.id, kind: stateKind(x.status), state: t.tasks.status[x.status] ?? x.status, what: t.tasks.kinds[x.vendor_type] ?? x.vendor_type,
    where: "", who: t.tasks.trigger[x.trigger.toUpperCase()] ?? x.trigger, started: x.start_time, ended: x.end_time, result: x.status_message,
  };
}

// The panel asks again after this, sooner when it is open or when something runs.
const lazy = 60_000, eager = 4_000;

export function Tasks() {
  useEffect(() => {
    if (narrow.matches) tasksOpen.value = false;
  }, []);
  const list = useLoad("tasks", async (signal) => (await Promise.all(sources.map((s) => s(signal)))).flat().sort((a, b) => b.started.localeCompare(a.started)));
  const all = list.value ?? [], running = all.filter((x) => x.kind === "busy").length, failed = all.filter((x) => x.kind === "ill").length;
  const open = tasksOpen.value;
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && list.again(), open || running ? eager : lazy);
    return () => clearInterval(timer);
  }, [open, running > 0]);
  return (
    <details class="tasks" open={open} onToggle={(e) => (tasksOpen.value = e.currentTarget.open)}>
      <summary>
        <Icon name="chevron-up" class="turn" />{t.tasks.title}
        {running > 0 && <State kind="busy">{t.tasks.running(running)}</State>}
        {failed > 0 && <State kind="ill">{t.tasks.failed(failed)}</State>}
        <span class="end">{t.tasks.about}</span>
      </summary>
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label={t.tasks.title}>
          {all.length === 0 ? <p class="nothing">{list.error ? list.error.message : t.tasks.none}</p> : <Rows of={all} />}
        </div>
      )}
    </details>
  );
}

function Rows({ of }: { of: Task[] }) {
  return (
    <table class="grid cards" aria-label={t.tasks.title}>
      <thead><tr>{[t.tasks.state, t.tasks.task, t.tasks.cause, t.tasks.started, t.tasks.took, t.tasks.result].map((h) => <th key={h} scope="col">{h}</th>)}</tr></thead>
      <tbody aria-live="polite">
        {of.map((x) => (
          <tr key={x.id}>
            <td><State kind={x.kind}>{x.state}</State></td>
            <th scope="row" class="nowrap">{x.what} {x.where}</th>
            <td data-l={t.tasks.cause}>{x.who}</td>
            <td data-l={t.tasks.started}><Time at={x.started} /></td>
            <td data-l={t.tasks.took}>{seconds(x.started, x.ended)}</td>
            <td data-l={t.tasks.result} class="fill">{x.result || "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
