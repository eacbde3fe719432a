// The containers of a project on all its VCHs, live. A list of any length is quick: only the rows that can be seen are there.
import { useMemo, useRef, useState } from "preact/hooks";
import type { Container, LiveVCH, Project } from "../gen/api";
import { bytes, exactly, when } from "../lib/format";
import { allContainers, allVCHs, key, stream, useLive } from "../lib/live";
import { setQuery, where } from "../lib/router";
import { may } from "../lib/session";
import { Bones, Button, Empty, Icon, Note, Page, State } from "../parts/basic";
import { ContainerState, iso, Since } from "../parts/container-state";
import { FormDialog } from "../parts/form";
import { Find } from "../parts/table";
import { useWindow } from "../parts/window";
import { projectHref } from "../shell/nav";
import { actIcons, type Act, doAll, fits, type Outcome } from "./container-acts";
import { OfProject } from "./project-page";
import { t } from "../text";

export function Containers({ project: name }: Record<string, string>) {
  useLive();
  return <OfProject name={name}>{(p) => <List project={p} />}</OfProject>;
}

type Chip = keyof typeof t.live.chips;

const chips: Record<Chip, (c: Container) => boolean> = {
  all: () => true,
  running: (c) => c.state === "running" || c.state === "restarting" || c.state === "paused",
  stopped: (c) => c.state === "exited" || c.state === "created" || c.state === "dead",
  ill: (c) => c.health === "unhealthy" || c.state === "dead" || (c.state === "exited" && !!c.exit_code),
};

function finds(c: Container, text: string): boolean {
  const parts = [c.name, c.image, c.address ?? "", c.application ?? "", c.service ?? "", c.id.slice(0, 12)];
  return text.toLowerCase().split(/\s+/).every((word) => parts.some((p) => p.toLowerCase().includes(word)));
}

// Row is a line of the table: the band of a VCH, or a container.
type Row = { vch: LiveVCH; container?: Container };

function List({ project: p }: { project: Project }) {
  const vchs = allVCHs.value.filter((v) => v.projects.includes(p.name)), ids = new Set(vchs.map((v) => v.id));
  const all = allContainers.value.filter((c) => ids.has(c.vch));
  const find = where.value.query.get("find") ?? "", chip = (where.value.query.get("show") ?? "all") as Chip;
  const [picked, pick] = useState<ReadonlySet<string>>(new Set());
  const can = may("container:operate", p);
  // What a VCH that is away runs now nobody knows: it is among all alone.
  const up = new Set(vchs.filter((v) => v.up).map((v) => v.id));
  const is = (k: Chip) => (c: Container) => k === "all" || (up.has(c.vch) && !!chips[k]?.(c));
  const shown = useMemo(() => all.filter((c) => is(chip)(c) && (!find || finds(c, find))), [all, chip, find]);
  const rows = useMemo(() => rowsOf(vchs, shown, find !== "" || chip !== "all"), [vchs, shown]);
  const chosen = shown.filter((c) => picked.has(key(c.vch, c.id)) && vchs.find((v) => v.id === c.vch)?.up);
  const run = can && <Button kind="main" icon="plus" href={projectHref(p.name, "/run")}>{t.live.run}</Button>;
  return (
    <Page title={t.live.containers} intro={stream.value !== "waiting" && t.live.intro(vchs.length)} crumbs={[{ text: p.name, href: projectHref(p.name) }]} acts={run}>
      <div class="bar-row">
        <Find label={t.live.find} value={find} />
        {(Object.keys(chips) as Chip[]).map((k) => (
          <button key={k} type="button" class="chip" aria-pressed={chip === k} onClick={() => setQuery({ show: k === "all" ? undefined : k })}>
            {t.live.chips[k]} <span class="n">{all.filter(is(k)).length}</span></button>
        ))}
      </div>
      {stream.value === "lost" && <div class="body"><Note kind="warn" title={t.live.lost} /></div>}
      {stream.value === "waiting" ? <div class="body"><Bones lines={6} /></div>
        : vchs.length === 0 ? <Empty icon="server" title={t.live.noVCH}>{t.live.noVCHText}</Empty>
        : all.length === 0 ? <><Rows rows={rows} project={p.name} picked={picked} pick={pick} can={false} /><Empty icon="container" title={t.live.none} acts={run}>{t.live.noneText}</Empty></>
        : shown.length === 0 ? <p class="nothing" role="status">{t.live.nothing}</p>
        : <Rows rows={rows} project={p.name} picked={picked} pick={pick} can={can} />}
      {chosen.length > 0 && <Bulk project={p.name} chosen={chosen} clear={() => pick(new Set())} />}
    </Page>
  );
}

// rowsOf orders by VCH and name: a change of state moves no row. A filter leaves out VCHs without a row.
function rowsOf(vchs: LiveVCH[], list: Container[], filtered: boolean): Row[] {
  const by = new Map<number, Container[]>();
  for (const c of list) by.set(c.vch, [...(by.get(c.vch) ?? []), c]);
  return vchs.flatMap((vch) => {
    const mine = (by.get(vch.id) ?? []).sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    return mine.length === 0 && filtered ? [] : [{ vch }, ...mine.map((container) => ({ vch, container }))];
  });
}

interface RowsProps {
  rows: Row[];
  project: string;
  picked: ReadonlySet<string>;
  pick: (s: ReadonlySet<string>) => void;
  can: boolean;
}

function Rows({ rows, project, picked, pick, can }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const w = useWindow(box, rows.length);
  const flip = (k: string) => {
    const next = new Set(picked);
    if (!next.delete(k)) next.add(k);
    pick(next);
  };
  const columns = can ? 8 : 7;
  return (
    <div class="flush" ref={box}>
      <div class="wide">
        <table class="grid cards" aria-label={t.live.containers} aria-rowcount={rows.length + 1}>
          <thead><tr>
            {can && <th scope="col" class="pick"><span class="off">{t.live.select}</span></th>}
            <th scope="col">{t.live.name}</th><th scope="col">{t.live.state}</th><th scope="col">{t.live.image}</th><th scope="col">{t.live.application}</th>
            <th scope="col">{t.live.address}</th><th scope="col">{t.live.ports}</th><th scope="col">{t.live.since}</th>
          </tr></thead>
          <tbody>
            {w.before > 0 && <tr class="gap" aria-hidden="true"><td colSpan={columns} style={{ height: w.before + "px" }} /></tr>}
            {rows.slice(w.from, w.to).map(({ vch, container: c }, i) => (c
              ? <One key={key(c.vch, c.id)} c={c} vch={vch} project={project} can={can} at={w.from + i + 2} picked={picked.has(key(c.vch, c.id))} flip={flip} />
              : <Band key={vch.id} vch={vch} columns={columns} at={w.from + i + 2} />))}
            {w.after > 0 && <tr class="gap" aria-hidden="true"><td colSpan={columns} style={{ height: w.after + "px" }} /></tr>}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Band({ vch: v, columns, at }: { vch: LiveVCH; columns: number; at: number }) {
  const since = iso(v.since);
  return (
    <tr class={v.up ? "band" : "band away"} aria-rowindex={at}>
      <th colSpan={columns} scope="rowgroup"><div>
        <Icon name="server" /><span>{v.name}</span>
        {v.up ? <State kind="run">{t.live.answering}</State> : <State kind="lost">{t.live.away}</State>}
        {v.up ? <span class="soft">{t.live.count(v.containers, v.running)}{v.memory ? " · " + t.live.use(v.cpus ?? 0, bytes(v.memory)) : ""}</span>
          : <span class="soft" title={exactly(since)}>{t.live.awaySince(when(since))}{v.away ? " · " + v.away : ""}</span>}
      </div></th>
    </tr>
  );
}

function One({ c, vch, project, can, at, picked, flip }: {
  c: Container; vch: LiveVCH; project: string; can: boolean; at: number; picked: boolean; flip: (k: string) => void;
}) {
  const ports = (c.ports ?? []).filter((x) => x.public).map((x) => `${x.public}→${x.private}${x.type === "tcp" ? "" : "/" + x.type}`);
  return (
    <tr aria-rowindex={at} aria-selected={picked || undefined} class={vch.up ? "" : "stale-row"}>
      {can && <td class="pick"><input type="checkbox" aria-label={t.live.of(c.name)} checked={picked} disabled={!vch.up} onChange={() => flip(key(c.vch, c.id))} /></td>}
      <th scope="row" class="nowrap"><a href={containerHref(project, c)}>{c.name || c.id.slice(0, 12)}</a></th>
      <td data-l={t.live.state}><span class="v"><ContainerState of={c} stale={!vch.up} /></span></td>
      <td data-l={t.live.image} class="cut mono image" title={c.image}><span class="v">{c.image}</span></td>
      <td data-l={t.live.application} class="opt"><span class="v">{c.application ?? <span class="soft">–</span>}</span></td>
      <td data-l={t.live.address} class="mono nowrap"><span class="v">{c.address || <span class="soft">–</span>}</span></td>
      <td data-l={t.live.ports} class="mono nowrap opt"><span class="v">{ports.length > 0 ? ports.slice(0, 2).join(", ") + (ports.length > 2 ? " …" : "") : <span class="soft">–</span>}</span></td>
      <td data-l={t.live.since}><span class="v"><Since seconds={c.since} /></span></td>
    </tr>
  );
}

export function containerHref(project: string, c: { vch: number; id: string }, rest = ""): string {
  return projectHref(project, `/containers/${c.vch}/${c.id.slice(0, 12)}${rest}`);
}

// Bulk offers what all that are chosen allow, and tells the outcome of each.
function Bulk({ project, chosen, clear }: { project: string; chosen: Container[]; clear: () => void }) {
  const [asked, ask] = useState(false);
  const [busy, set] = useState<Act>();
  const [failed, fail] = useState<Outcome[]>([]);
  const [told, tell] = useState("");
  const run = async (act: Act) => {
    set(act);
    fail([]);
    const out = await doAll(act, project, chosen, () => undefined);
    const bad = out.filter((o) => o.error);
    fail(bad);
    tell(t.live.results(out.length - bad.length, bad.length));
    set(undefined);
    if (bad.length === 0) clear();
  };
  const offered = (Object.keys(actIcons) as Act[]).filter((a) => chosen.every((c) => fits(a, c)));
  return (
    <div class="bulk" role="toolbar" aria-label={t.live.selected(chosen.length)}>
      <strong role="status">{told && failed.length > 0 ? told : t.live.selected(chosen.length)}</strong>
      {offered.map((a) => (
        <Button key={a} small icon={actIcons[a]} kind={a === "remove" ? "risk" : undefined} busy={busy === a} onClick={() => (a === "remove" ? ask(true) : void run(a))}>
          {t.live.acts[a]}</Button>
      ))}
      <button type="button" class="ghost" aria-label={t.live.clear} onClick={clear}><Icon name="x" /></button>
      {failed.length > 0 && <ul class="outcomes">{failed.slice(0, 5).map((o) => <li key={o.container.id}><Icon name="circle-x" /> <b>{o.container.name}</b> {o.error}</li>)}</ul>}
      {asked && (
        <FormDialog title={t.live.removeAsk(chosen.length, chosen[0].name)} close={() => ask(false)} risk keep={t.live.keep} submit={t.live.removeDo(chosen.length)}
          run={() => run("remove")}><p>{t.live.removeText}</p></FormDialog>
      )}
    </div>
  );
}
