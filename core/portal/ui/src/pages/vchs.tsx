// The VCHs that the hub knows: all of them, or those of a project.
import { useState } from "preact/hooks";
import type { Vch } from "../gen/api";
import { call } from "../lib/api";
import { useList, useLoad } from "../lib/load";
import { Button, Empty, Page, State, Time } from "../parts/basic";
import { Code, ShowCommand } from "../parts/command";
import { FormDialog, Picks, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { t } from "../text";

const columns: Column<Vch>[] = [
  { title: t.vchs.name, head: true, cell: (v) => v.name },
  { title: t.vchs.address, cell: (v) => (v.address ? <code>{v.address}</code> : <span class="soft">{t.vchs.none}</span>) },
  { title: t.projects.title, fill: true, cell: (v) => <span class="states">{v.projects.map((p) => <a key={p.name} class="tag" href={projectHref(p.name)}>{p.name}</a>)}</span> },
  { title: t.vchs.since, cell: (v) => <Time at={v.creation_time} /> },
];

// Answer asks a VCH whether it answers, when the row is there.
function Answer({ vch: v }: { vch: Vch }) {
  const ping = useLoad(v.connected ? "ping" + v.id : undefined, async (signal) => (await call("GET /vchs/{vch}/ping", { path: { vch: v.id }, signal })).value);
  if (!v.connected) return <State kind="lost">{t.vchs.unconnected}</State>;
  if (ping.loading && !ping.value) return <State kind="busy">{t.vchs.asking}</State>;
  if (ping.value?.status === "ok") return <State kind="run">{t.vchs.answers(ping.value.version ?? "")}</State>;
  return <span class="states"><State kind="ill">{t.vchs.silent}</State><span class="soft small">{ping.value?.error ?? ping.error?.message}</span></span>;
}

export function Vchs() {
  const list = useList("GET /vchs", {});
  const [removing, remove] = useState<Vch>();
  const [changing, change] = useState<Vch>();
  const all: Column<Vch>[] = [columns[0], { title: t.vchs.state, cell: (v) => <Answer vch={v} /> }, ...columns.slice(1), {
    title: t.table.actions, act: true, cell: (v) => (
      <span class="acts">
        <Button small label={t.vchs.projectsOf(v.name)} onClick={() => change(v)}>{t.projects.title}</Button>
        <Button small kind="risk" label={t.vchs.removeAsk(v.name)} onClick={() => remove(v)}>{t.form.remove}</Button>
      </span>
    ),
  }];
  const create = ["vic-machine create --hub " + location.origin + " --hub-project PROJECT ..."];
  return (
    <Page title={t.admin.vchs.title} intro={t.vchs.intro} acts={<ShowCommand lines={create} />}>
      <Table list={list} columns={all} of={(v) => v.id} label={t.admin.vchs.title}
        empty={<Empty icon="server" title={t.vchs.empty}>{t.vchs.emptyText}<Code lines={create} /></Empty>} />
      {changing && <Projects vch={changing} close={() => change(undefined)} done={list.again} />}
      {removing && (
        <FormDialog title={t.vchs.removeAsk(removing.name)} close={() => remove(undefined)} risk submit={t.vchs.forget} keep={t.project.removeKeep} run={async () => {
          await call("DELETE /vchs/{vch}", { path: { vch: removing.id } });
          list.again();
        }}><p>{t.vchs.removeText}</p></FormDialog>
      )}
    </Page>
  );
}

function Projects({ vch: v, close, done }: { vch: Vch; close: () => void; done: () => void }) {
  const projects = useLoad("all", async (signal) => (await call("GET /projects", { query: { page_size: 100, sort: "name" }, signal })).value);
  const form = useForm({ projects: v.projects.map((p) => p.name) });
  return (
    <FormDialog title={t.vchs.projectsOf(v.name)} close={close} submit={t.form.save} run={async () => {
      await call("POST /vchs", { body: { uid: v.uid, name: v.name, projects: form.values.projects } });
      toast(t.form.saved);
      done();
    }}><Picks form={form} name="projects" label={t.vchs.resource} options={(projects.value ?? []).map((p) => [p.name, p.name])} /></FormDialog>
  );
}

export function ProjectVchs({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{() => <OfOne name={name} />}</OfProject>;
}

function OfOne({ name }: { name: string }) {
  const list = useList("GET /projects/{project}/vchs", { path: { project: name } });
  return (
    <Page title={t.project.vchs} intro={t.vchs.projectIntro} crumbs={[{ text: name, href: projectHref(name) }]}>
      <Table list={list} columns={[columns[0], { title: t.vchs.state, cell: (v) => <State kind={v.connected ? "done" : "lost"}>{v.connected ? t.vchs.connected : t.vchs.unconnected}</State> },
        columns[1], columns[3]]} of={(v) => v.id} label={t.project.vchs} empty={<Empty icon="server" title={t.vchs.emptyProject}>{t.vchs.emptyProjectText}</Empty>} />
    </Page>
  );
}
