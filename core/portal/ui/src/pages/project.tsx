// A project's first page: how full it is, its latest repositories, how to push to it.
import { useState } from "preact/hooks";
import type { Project } from "../gen/api";
import { call } from "../lib/api";
import { below, bytes, cutAll } from "../lib/format";
import { useGet, useList } from "../lib/load";
import { escapePath } from "../lib/router";
import { may, roleIn, user } from "../lib/session";
import { Bones, Button, Empty, KV, Meter, Page, Section, Time, Trouble } from "../parts/basic";
import { Code, host, ShowCommand } from "../parts/command";
import { FormDialog } from "../parts/form";
import { Table } from "../parts/table";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { Access } from "./projects";
import { repositoryColumns } from "./repositories";
import { t } from "../text";

export function ProjectHome({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{(p, again) => <Overview project={p} again={again} />}</OfProject>;
}

export function pushLines(project: string, repository = "NAME", tag = "TAG"): string[] {
  const to = `${host()}/${project}/${repository}:${tag}`;
  return [`docker tag IMAGE ${to}`, `docker push ${to}`];
}

function Overview({ project: p, again }: { project: Project; again: () => void }) {
  const [asking, ask] = useState(false);
  const list = useList("GET /projects/{project}/repositories", { path: { project: p.name } }, { sort: "-update_time", size: 8, name: "r" });
  const role = roleIn(p), open = p.metadata.public === "true";
  const pushes = may("repository:push", p) && !p.registry_id;
  const intro = role === "none" ? t.project.stranger : t.project.youAre(t.roles[role]);
  return (
    <Page title={p.name} state={<Access of={p} />} intro={intro} acts={
      <>
        <ShowCommand lines={[...(pushes ? pushLines(p.name) : []), `docker pull ${host()}/${p.name}/NAME:TAG`, `vic hub repository ls ${p.name}`]} />
        {may("project:update", p) && <Button icon={open ? "lock" : "globe"} onClick={() => ask(true)}>{open ? t.project.makePrivate : t.project.makePublic}</Button>}
      </>
    }>
      <div class="body cols">
        <div class="stack">
          <Section title={t.project.newest} about={list.value && list.total} link={<a href={projectHref(p.name, "/repositories")}>{t.project.repositories}</a>}>
            <Table list={list} columns={repositoryColumns(p.name)} of={(r) => r.id} label={t.project.newest} name="r" panel
              empty={<div class="panel"><NoRepository project={p} /></div>} />
          </Section>
          {may("log:list", p) && <Recent name={p.name} />}
        </div>
        <div class="stack">
          <Fill project={p} />
          {pushes && <Section title={t.project.push}><Code label={t.project.push} lines={pushLines(p.name)} /></Section>}
          <Section title={t.project.facts}>
            <KV of={[[t.projects.created, <Time at={p.creation_time} />], [t.project.owner, p.owner_name], [t.project.id, p.project_id]]} />
          </Section>
        </div>
      </div>
      {asking && <Publicity project={p} close={() => ask(false)} done={again} />}
    </Page>
  );
}

export function NoRepository({ project: p }: { project: Project }) {
  const proxy = !!p.registry_id, push = may("repository:push", p);
  return (
    <Empty icon="package" title={t.repositories.empty}>
      {proxy ? t.repositories.emptyProxy : push ? t.repositories.emptyPush : t.repositories.emptyOther}
      {(proxy || push) && <Code lines={proxy ? [`docker pull ${host()}/${p.name}/NAME:TAG`] : pushLines(p.name)} />}
    </Empty>
  );
}

function Fill({ project: p }: { project: Project }) {
  const sum = useGet("GET /projects/{project}/summary", { path: { project: p.name } });
  if (sum.error) return <Trouble error={sum.error} again={sum.again} />;
  if (!sum.value) return <Bones />;
  const { used, hard } = sum.value.quota, s = sum.value;
  return (
    <Section title={t.project.fill}>
      <div class="meters">
        <Meter label={t.project.storage} used={used.storage} hard={hard.storage}
          text={hard.storage < 0 ? t.project.ofNone(bytes(used.storage)) : t.project.of(bytes(used.storage), bytes(hard.storage))} />
        <Meter label={t.project.repos} used={used.repositories} hard={hard.repositories}
          text={hard.repositories < 0 ? t.project.ofNone(String(used.repositories)) : t.project.of(String(used.repositories), String(hard.repositories))} />
        {user.value && s.project_admin_count !== undefined && (
          <p class="hint">{t.project.counts(s.project_admin_count, s.developer_count ?? 0, s.guest_count ?? 0)}</p>
        )}
      </div>
    </Section>
  );
}

function Recent({ name }: { name: string }) {
  const lines = useList("GET /projects/{project}/logs", { path: { project: name } }, { size: 6, name: "l" });
  return (
    <Section title={t.project.recent} link={<a href={projectHref(name, "/log")}>{t.project.allLog}</a>}>
      <ol class="trail">
        {(lines.value ?? []).map((l) => (
          <li key={l.id}><span class="face bot" aria-hidden="true">{(l.username || "?").slice(0, 2)}</span>
            <p><b>{l.username || t.shell.stranger}</b> {l.operation} {l.resource_type} <LogResource name={name} type={l.resource_type} resource={l.resource} />
              <br /><Time at={l.op_time} /></p></li>
        ))}
      </ol>
    </Section>
  );
}

// LogResource links to what a line is about, where it is a repository's.
export function LogResource({ name, type, resource }: { name?: string; type: string; resource: string }) {
  const repo = resource.split(/[:@]/)[0];
  if (!["artifact", "tag", "repository"].includes(type) || !repo.includes("/") || (name && !repo.startsWith(name + "/"))) return <span class="soft" title={resource}>{cutAll(resource)}</span>;
  return <a href={projectHref(repo.split("/")[0], "/repositories/" + escapePath(below(repo)))} title={resource}>{cutAll(resource)}</a>;
}

// Publicity asks before everybody may pull, or nobody any more.
export function Publicity({ project: p, close, done }: { project: Project; close: () => void; done: () => void }) {
  const open = p.metadata.public === "true";
  const run = async () => {
    await call("PUT /projects/{project}", { path: { project: p.name }, body: { metadata: { public: String(!open) } } });
    done();
  };
  return (
    <FormDialog title={open ? t.project.privateAsk(p.name) : t.project.publicAsk(p.name)} close={close} run={run}
      submit={open ? t.project.makePrivate : t.project.makePublic} keep={open ? t.project.privateKeep : t.project.publicKeep}>
      <p>{open ? t.project.privateText : t.project.publicText}</p>
    </FormDialog>
  );
}
