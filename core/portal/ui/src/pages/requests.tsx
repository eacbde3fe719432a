// Requests for containers: what became of them, and the decisions of those who may decide.
import { useEffect, useState } from "preact/hooks";
import type { Project, Provision } from "../gen/api";
import { call } from "../lib/api";
import { bytes } from "../lib/format";
import { allContainers, changed, useLive } from "../lib/live";
import { useGet, useList } from "../lib/load";
import { setQuery, where } from "../lib/router";
import { may } from "../lib/session";
import { Bones, Button, Empty, KV, Meter, Note, Page, State, Time, Trouble, type Kind } from "../parts/basic";
import { FormDialog, Text, useDoing, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { containerHref } from "./containers";
import { OfProject } from "./project-page";
import { PlanView } from "./run";
import { t } from "../text";

const kinds: Record<string, Kind> = {
  waiting: "wait", pending: "busy", done: "done", failed: "ill", refused: "ill", expired: "stop", cancelled: "stop", removed: "stop",
};

export function Status({ of: x }: { of: Provision }) {
  return <State kind={kinds[x.status] ?? "stop"}>{t.provision.status[x.status] ?? x.status}</State>;
}

const small = (x: Provision) => t.provision.size2(bytes(x.size.memory), x.size.cpus);

export function Requests({ project: name }: Record<string, string>) {
  useLive();
  return <OfProject name={name}>{(p) => <List project={p} />}</OfProject>;
}

function List({ project: p }: { project: Project }) {
  const status = where.value.query.get("status") ?? "";
  const list = useList("GET /projects/{project}/provisions", { path: { project: p.name }, query: { status } });
  useEffect(() => list.again(), [changed.value]);
  const columns: Column<Provision>[] = [
    { title: t.provision.what, head: true, cell: (x) => <a href={projectHref(p.name, "/requests/" + x.id)}>{x.name}</a> },
    { title: t.live.state, cell: (x) => <Status of={x} /> },
    { title: t.live.image, cell: (x) => <span class="mono">{x.image}</span>, fill: true },
    { title: t.provision.size, cell: small, less: true },
    { title: t.provision.by, cell: (x) => x.requested_by },
    { title: t.provision.when, cell: (x) => <Time at={x.creation_time} /> },
  ];
  const can = may("container:operate", p);
  const run = can && <Button kind="main" icon="plus" href={projectHref(p.name, "/run")}>{t.live.run}</Button>;
  return (
    <Page title={t.provision.requests} intro={t.provision.requestsIntro} crumbs={[{ text: p.name, href: projectHref(p.name) }]} acts={run}>
      <div class="bar-row">
        {["", "waiting", "pending", "done", "failed"].map((s) => (
          <button key={s} type="button" class="chip" aria-pressed={status === s} onClick={() => setQuery({ status: s, page: undefined })}>{s ? t.provision.status[s] : t.live.chips.all}</button>
        ))}
      </div>
      <Table list={list} columns={columns} of={(x) => x.id} label={t.provision.requests} empty={<Empty icon="list-checks" title={t.provision.none} acts={run} />} />
    </Page>
  );
}

export function RequestPage({ project: name, id }: Record<string, string>) {
  useLive();
  return <OfProject name={name}>{(p) => <One project={p} id={Number(id)} />}</OfProject>;
}

const lookEvery = 1000; // milliseconds, while it is under way

function One({ project: p, id }: { project: Project; id: number }) {
  const got = useGet("GET /projects/{project}/provisions/{provision}", { path: { project: p.name, provision: id } }), x = got.value;
  useEffect(() => {
    if (x?.status !== "pending") return;
    const timer = setTimeout(got.again, lookEvery);
    return () => clearTimeout(timer);
  }, [x]);
  const crumbs = [{ text: p.name, href: projectHref(p.name) }, { text: t.provision.requests, href: projectHref(p.name, "/requests") }];
  if (got.error && !x) return <Page title={String(id)} crumbs={crumbs}><div class="body"><Trouble error={got.error} again={got.again} /></div></Page>;
  if (!x) return <div class="body"><Bones lines={5} /></div>;
  const c = allContainers.value.find((c) => c.vch === x.vch && c.id === x.container);
  return (
    <Page title={x.name} state={<Status of={x} />} intro={<span class="mono">{x.image}</span>} crumbs={crumbs}
      acts={<>{c && <Button kind="main" icon="container" href={containerHref(p.name, c)}>{c.name}</Button>}<Decide project={p} x={x} done={got.again} /></>}>
      <div class="body">
        {x.status === "waiting" && <Note kind="wait" title={t.provision.needs(x.approval)} />}
        {x.message && <Note kind={x.status === "failed" ? "bad" : "warn"} title={t.provision.status.failed}>{x.message}</Note>}
        {x.status === "pending" && <Meter label={x.step || t.provision.status.pending} used={x.done} hard={x.total} text={x.total ? `${bytes(x.done)} / ${bytes(x.total)}` : ""} />}
        <div class="cols">
          <div class="stack"><section class="panel facts"><h2>{t.container.facts}</h2><KV of={[
            [t.provision.size, small(x)], [t.provision.by, x.requested_by], [t.provision.when, <Time at={x.creation_time} />],
            [t.provision.expires, x.expires && <Time at={x.expires} />], [t.provision.decided, x.decided_by], [t.provision.comment, x.comment],
          ]} /></section></div>
          <aside class="stack"><PlanView plan={{ plan: x.plan }} /></aside>
        </div>
      </div>
    </Page>
  );
}

function Decide({ project: p, x, done }: { project: Project; x: Provision; done: () => void }) {
  const [asked, ask] = useState<"approve" | "refuse">();
  const form = useForm({ comment: "" });
  const { busy, error, run } = useDoing();
  if (x.status !== "waiting") return null;
  const path = { project: p.name, provision: x.id };
  const decides = may("container:operate", p) && may("project:update", p);
  return (
    <>
      {x.mine && <Button busy={busy} onClick={() => void run(async () => {
        await call("DELETE /projects/{project}/provisions/{provision}", { path });
        done();
      })}>{t.provision.cancel}</Button>}
      {decides && <Button kind="risk" why={x.mine ? t.provision.yours : undefined} onClick={() => ask("refuse")}>{t.provision.refuse}</Button>}
      {decides && <Button kind="main" icon="check" why={x.mine ? t.provision.yours : undefined} onClick={() => ask("approve")}>{t.provision.approve}</Button>}
      {error && <p class="err" role="alert">{error.message}</p>}
      {asked && (
        <FormDialog title={asked === "approve" ? t.provision.approveAsk(x.name) : t.provision.refuseAsk(x.name)} close={() => ask(undefined)} risk={asked === "refuse"}
          submit={asked === "approve" ? t.provision.approve : t.provision.refuse} run={async () => {
            if (asked === "approve") await call("POST /projects/{project}/provisions/{provision}/approve", { path, body: form.values });
            else await call("POST /projects/{project}/provisions/{provision}/refuse", { path, body: form.values });
            done();
          }}><Text form={form} name="comment" label={t.provision.comment} hint={t.provision.commentHint} rows={2} optional focus /></FormDialog>
      )}
    </>
  );
}
