// The repositories of a project, and the artifacts of one.
import { useState } from "preact/hooks";
import type { Artifact, Project, Repository } from "../gen/api";
import { call } from "../lib/api";
import { below, bytes, cut } from "../lib/format";
import { useGet, useList } from "../lib/load";
import { escapePath, go, href } from "../lib/router";
import { may } from "../lib/session";
import { Button, Icon, Page, State, Time } from "../parts/basic";
import { host, quoted, ShowCommand } from "../parts/command";
import { FormDialog, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { LabelMark } from "./labels";
import { NoRepository, pushLines } from "./project";
import { OfProject } from "./project-page";
import { t } from "../text";

export function repositoryHref(project: string, repository: string): string {
  return projectHref(project, "/repositories/" + escapePath(repository));
}

export function artifactHref(project: string, repository: string, digest: string): string {
  return projectHref(project, "/artifacts/" + escapePath(repository) + "/" + digest);
}

export function repositoryColumns(project: string): Column<Repository>[] {
  return [
    { title: t.repositories.name, sort: "name", head: true, cell: (r) => <a href={repositoryHref(project, below(r.name))}>{below(r.name)}</a> },
    { title: t.repositories.artifacts, sort: "artifact_count", num: true, cell: (r) => r.artifact_count },
    { title: t.repositories.updated, sort: "update_time", cell: (r) => <Time at={r.update_time} /> },
  ];
}

export function Repositories({ project: name }: Record<string, string>) {
  const list = useList("GET /projects/{project}/repositories", { path: { project: name } }, { sort: "name", filter: (text) => ({ q: "name=~" + text }) });
  return (
    <OfProject name={name}>{(p) => (
      <Page title={t.repositories.title} crumbs={[{ text: name, href: projectHref(name) }]}
        acts={<ShowCommand lines={[`vic hub repository ls ${quoted(name)}`, ...(may("repository:push", p) ? pushLines(name) : [])]} />}>
        <div class="bar-row"><Find label={t.repositories.find} value={list.find} /></div>
        <Table list={list} columns={repositoryColumns(name)} of={(r) => r.id} label={t.repositories.title} empty={<NoRepository project={p} />} />
      </Page>
    )}</OfProject>
  );
}

// Tags shows the first of many.
export function Tags({ of: a }: { of: Artifact }) {
  const most = 5;
  if (a.tags.length === 0) return <span class="soft">{t.repositories.untagged}</span>;
  return (
    <span class="states">
      {a.tags.slice(0, most).map((x) => <span key={x.name} class="tag">{x.immutable && <Icon name="lock" />}{x.name}</span>)}
      {a.tags.length > most && <span class="soft small">{t.repositories.moreTags(a.tags.length - most)}</span>}
    </span>
  );
}

function About({ of: a }: { of: Artifact }) {
  const has = (kind: string) => a.accessories?.some((x) => x.type.startsWith(kind));
  return (
    <span class="states">
      {has("signature") && <State kind="done" icon="badge-check">{t.repositories.signed}</State>}
      {has("sbom") && <State kind="stop" icon="file-text">{t.repositories.sbom}</State>}
      {a.labels.map((l) => <LabelMark key={l.id} label={l} />)}
      {!a.accessories?.length && a.labels.length === 0 && <span class="soft">–</span>}
    </span>
  );
}

export function RepositoryPage({ project: name, repository }: Record<string, string>) {
  return <OfProject name={name}>{(p) => <Artifacts project={p} repository={repository} />}</OfProject>;
}

function Artifacts({ project: p, repository }: { project: Project; repository: string }) {
  const [removing, remove] = useState(false);
  const [describing, describe] = useState(false);
  const path = { project: p.name, repository };
  const about = useGet("GET /projects/{project}/repositories/{repository}", { path });
  const list = useList("GET /projects/{project}/repositories/{repository}/artifacts", { path, query: { with_label: true, with_accessory: true } },
    { sort: "-push_time", filter: (text) => ({ q: "tags=~" + text }) });
  const columns: Column<Artifact>[] = [
    { title: t.repositories.tags, head: true, cell: (a) => <Tags of={a} /> },
    { title: t.repositories.digest, sort: "digest",
      cell: (a) => <a class="mono nowrap" href={artifactHref(p.name, repository, a.digest)} title={a.digest}>{cut(a.digest)}</a> },
    { title: t.repositories.kind, cell: (a) => t.repositories.kinds[a.references.length > 0 ? "INDEX" : a.type] ?? a.type },
    { title: t.repositories.about, cell: (a) => <About of={a} /> },
    { title: t.repositories.size, sort: "size", num: true, cell: (a) => bytes(a.size) },
    { title: t.repositories.pushed, sort: "push_time", cell: (a) => <><Time at={a.push_time} />{a.pushed_by && <span class="soft"> {t.repositories.by(a.pushed_by)}</span>}</> },
    { title: t.repositories.pulled, sort: "pull_time", cell: (a) => <Time at={a.pull_time} /> },
  ];
  return (
    <Page title={repository} intro={about.value?.description} crumbs={[{ text: p.name, href: projectHref(p.name) }, { text: t.repositories.title, href: projectHref(p.name, "/repositories") }]}
      acts={<>
        <ShowCommand lines={[`docker pull ${host()}/${p.name}/${repository}:TAG`, ...(may("repository:push", p) ? pushLines(p.name, repository) : []),
          `vic hub artifact ls ${p.name}/${repository}`]} />
        {may("repository:push", p) && <Button icon="pencil" onClick={() => describe(true)}>{t.repositories.describe}</Button>}
        {may("artifact:delete", p) && <Button icon="trash-2" kind="risk" onClick={() => remove(true)}>{t.repositories.remove}</Button>}
      </>}>
      <div class="bar-row"><Find label={t.repositories.findTag} value={list.find} /></div>
      <Table list={list} columns={columns} of={(a) => a.digest} label={t.repositories.artifacts} />
      {removing && <Remove project={p.name} repository={repository} artifacts={about.value?.artifact_count ?? list.total} close={() => remove(false)} />}
      {describing && <Describe project={p.name} repository={repository} text={about.value?.description ?? ""} close={() => describe(false)} done={about.again} />}
    </Page>
  );
}

function Describe({ project, repository, text, close, done }: { project: string; repository: string; text: string; close: () => void; done: () => void }) {
  const form = useForm({ text });
  const run = async () => {
    await call("PUT /projects/{project}/repositories/{repository}", { path: { project, repository }, body: { description: form.values.text } });
    done();
  };
  return (
    <FormDialog title={t.repositories.describe} close={close} submit={t.form.save} run={run}>
      <Text form={form} name="text" label={t.repositories.description} rows={5} focus optional />
    </FormDialog>
  );
}

interface RemoveProps {
  project: string;
  repository: string;
  artifacts: number;
  close: () => void;
}

function Remove({ project, repository, artifacts, close }: RemoveProps) {
  const form = useForm({ typed: "" });
  const run = async () => {
    await call("DELETE /projects/{project}/repositories/{repository}", { path: { project, repository } });
    toast(t.repositories.removed(repository));
    go(projectHref(project, "/repositories"));
  };
  const many = artifacts > 1;
  return (
    <FormDialog title={t.repositories.removeAsk(repository)} close={close} risk submit={t.repositories.removeMany(artifacts)} keep={t.repositories.removeKeep}
      run={async () => {
        if (many && form.values.typed.trim() !== String(artifacts)) throw new Error(t.repositories.removeCount(artifacts));
        await run();
      }}>
      <p>{t.repositories.removeText}</p>
      {many && <Text form={form} name="typed" label={t.repositories.removeCount(artifacts)} required focus />}
    </FormDialog>
  );
}

// searchHref is the list of repositories with a filter.
export function searchHref(project: string, find: string): string {
  return href("/projects/" + encodeURIComponent(project) + "/repositories", { find });
}
