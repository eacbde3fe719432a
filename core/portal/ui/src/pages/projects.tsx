// The list of projects, and the dialog that makes one.
import { useState } from "preact/hooks";
import type { Project } from "../gen/api";
import { call } from "../lib/api";
import { useGet, useList } from "../lib/load";
import { go, setQuery, where } from "../lib/router";
import { may, roleIn, user } from "../lib/session";
import { Button, Empty, Page, State, Time } from "../parts/basic";
import { quoted, ShowCommand } from "../parts/command";
import { Check, Choice, FormDialog, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { t } from "../text";

export function Access({ of: p }: { of: Project }) {
  const open = p.metadata.public === "true";
  return (
    <span class="states">
      <State kind={open ? "busy" : "stop"} icon={open ? "globe" : "lock"}>{open ? t.projects.public : t.projects.private}</State>
      {p.registry_id && <State kind="stop" icon="database">{t.projects.proxy}</State>}
    </span>
  );
}

export const projectColumns: Column<Project>[] = [
  { title: t.projects.name, sort: "name", head: true, cell: (p) => <a href={projectHref(p.name)}>{p.name}</a> },
  { title: t.projects.access, cell: (p) => <Access of={p} /> },
  { title: t.projects.role, cell: (p) => t.roles[roleIn(p)] },
  { title: t.projects.repositories, sort: "repo_count", num: true, cell: (p) => p.repo_count },
  { title: t.projects.created, sort: "creation_time", cell: (p) => <Time at={p.creation_time} /> },
];

export function Projects() {
  const only = where.value.query.get("access") ?? "";
  const list = useList("GET /projects", { query: { public: only === "" ? undefined : only === "public" } }, { sort: "name", filter: (name) => ({ name }) });
  const [making, make] = useState(where.value.query.has("create"));
  const can = may("project:create");
  const create = can && <Button kind="main" icon="plus" onClick={() => make(true)}>{t.projects.create}</Button>;
  return (
    <Page title={t.projects.title} intro={t.projects.intro}
      acts={<><ShowCommand lines={["vic hub project ls", ...(can ? ["vic hub project create --storage 10GiB NAME"] : [])]} />{create}</>}>
      <div class="bar-row">
        <Find label={t.projects.find} value={list.find} />
        {(["", "public", "private"] as const).map((x) => (
          <button key={x} type="button" class="chip" aria-pressed={only === x} onClick={() => setQuery({ access: x, page: undefined })}>
            {t.projects.chip[x === "" ? "all" : x]}
          </button>
        ))}
      </div>
      <Table list={list} columns={projectColumns} of={(p) => p.project_id} label={t.projects.title}
        empty={<Empty icon="folder" title={t.projects.empty} acts={create}>{user.value ? (can ? t.projects.emptyAdmin : t.projects.emptyOther) : ""}</Empty>} />
      {making && <Create close={() => {
        make(false);
        setQuery({ create: undefined });
      }} />}
    </Page>
  );
}

function Create({ close }: { close: () => void }) {
  const form = useForm({ name: "", open: false, quota: "", owner: "", registry: "" });
  const v = form.values;
  const registries = useGet("GET /registries", { query: { page_size: 100 } });
  const run = async () => {
    await call("POST /projects", {
      body: {
        project_name: v.name.trim(), metadata: { public: String(v.open) },
        ...(v.quota.trim() ? { storage_limit: gib(v.quota) } : {}),
        ...(v.owner.trim() ? { devops_admin: v.owner.trim() } : {}),
        ...(v.registry ? { registry_id: Number(v.registry) } : {}),
      },
    });
    toast(t.projects.made(v.name.trim()));
    go(projectHref(v.name.trim()));
  };
  const others: [string, string][] = (registries.value ?? []).map((r) => [String(r.id), `${r.name} (${r.url})`]);
  return (
    <FormDialog title={t.projects.create} close={close} submit={t.projects.create} run={run}>
      <Text form={form} name="name" label={t.projects.name} hint={t.projects.nameHint} required focus />
      <Check form={form} name="open" label={t.projects.publicLabel} />
      <div class="two">
        <Text form={form} name="quota" label={t.projects.quota} hint={t.projects.quotaHint} optional />
        <Text form={form} name="owner" label={t.projects.owner} hint={t.projects.ownerHint} optional />
      </div>
      {others.length > 0 && <Choice form={form} name="registry" label={t.projects.registry} options={[["", t.projects.noRegistry], ...others]} />}
    </FormDialog>
  );
}

// gib is a number of GiB in bytes; -1 stays what it is.
export function gib(text: string): number {
  const n = Number(text.trim().replace(",", "."));
  return n < 0 ? -1 : Math.round(n * 2 ** 30);
}

// createCommand is how vic hub makes a project.
export function createCommand(name: string): string {
  return `vic hub project create ${quoted(name)}`;
}
