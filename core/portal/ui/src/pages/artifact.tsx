// An artifact: its tags and labels, what is about it, how it was made. What needs scanning appears when the hub can scan.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Accessory, Artifact, Project } from "../gen/api";
import { call } from "../lib/api";
import { below, bytes, cut, known } from "../lib/format";
import { useGet, useLoad } from "../lib/load";
import { go, href, where } from "../lib/router";
import { may } from "../lib/session";
import { Bones, Button, Icon, KV, Note, Page, Section, Tabs, Time, Trouble } from "../parts/basic";
import { Code, Copy, host, ShowCommand } from "../parts/command";
import { Choice, FormDialog, Text, useForm } from "../parts/form";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { LabelMark } from "./labels";
import { OfProject } from "./project-page";
import { artifactHref, repositoryHref } from "./repositories";
import { artifactTabs } from "./artifact-tabs";
import { t } from "../text";

export function ArtifactPage({ project: name, rest }: Record<string, string>) {
  const at = rest.lastIndexOf("/");
  return <OfProject name={name}>{(p) => <Found project={p} repository={rest.slice(0, at)} reference={rest.slice(at + 1)} />}</OfProject>;
}

function Found({ project: p, repository, reference }: { project: Project; repository: string; reference: string }) {
  const path = { project: p.name, repository, reference };
  const found = useGet("GET /projects/{project}/repositories/{repository}/artifacts/{reference}", { path, query: { with_label: true, with_accessory: true, with_scan_overview: true } });
  const crumbs = [
    { text: p.name, href: projectHref(p.name) }, { text: t.repositories.title, href: projectHref(p.name, "/repositories") },
    { text: repository, href: repositoryHref(p.name, repository) },
  ];
  const a = found.value;
  if (!a) {
    return <Page title={cut(reference)} crumbs={crumbs}><div class="body">{found.error ? <Trouble error={found.error} again={found.again} /> : <Bones />}</div></Page>;
  }
  return <Shown project={p} repository={repository} artifact={a} crumbs={crumbs} again={found.again} />;
}

export interface Of {
  project: Project;
  repository: string;
  artifact: Artifact;
  again: () => void;
}

function Shown(o: Of & { crumbs: { text: string; href: string }[] }) {
  const { project: p, repository, artifact: a } = o;
  const name = a.tags[0]?.name;
  const here = where.value.query.get("tab") ?? "";
  const self = artifactHref(p.name, repository, a.digest).slice(href("/").length - 1);
  const tabs = artifactTabs.filter((x) => x.there(a));
  const open = tabs.find((x) => x.key === here) ?? tabs[0];
  return (
    <Page title={name ? `${repository}:${name}` : `${repository} ${cut(a.digest)}`} crumbs={o.crumbs} acts={<Acts {...o} />}
      tabs={tabs.length > 1 && (
        <Tabs label={t.artifact.parts} tabs={tabs.map((x) => ({ text: x.title, href: href(self, { tab: x.key }), here: x === open, count: x.count?.(a) }))} />
      )}>
      <div class="body under"><open.Body {...o} /></div>
    </Page>
  );
}

function pull(o: Of): string {
  const name = o.artifact.tags[0]?.name;
  return `docker pull ${host()}/${o.project.name}/${o.repository}` + (name ? ":" + name : "@" + o.artifact.digest);
}

function Acts(o: Of) {
  const { project: p, repository, artifact: a } = o;
  const [open, set] = useState<"copy" | "remove" | "tag" | "label">();
  const close = () => set(undefined);
  const ref = `${p.name}/${repository}@${a.digest}`;
  return (
    <>
      <ShowCommand lines={[pull(o), `docker pull ${host()}/${p.name}/${repository}@${a.digest}`, `vic hub artifact inspect ${ref}`,
        ...(may("artifact:delete", p) ? [`vic hub artifact rm ${ref}`] : [])]} />
      {may("repository:push", p) && (
        <>
          <Button icon="tag" onClick={() => set("tag")}>{t.artifact.addTag}</Button>
          <Button icon="tags" onClick={() => set("label")}>{t.artifact.addLabel}</Button>
        </>
      )}
      <Button icon="copy" onClick={() => set("copy")}>{t.artifact.copy}</Button>
      {may("artifact:delete", p) && <Button kind="risk" icon="trash-2" onClick={() => set("remove")}>{t.form.remove}</Button>}
      {open === "copy" && <CopyTo {...o} close={close} />}
      {open === "tag" && <AddTag {...o} close={close} />}
      {open === "label" && <AddLabel {...o} close={close} />}
      {open === "remove" && (
        <FormDialog title={t.artifact.removeAsk(a.tags.length)} close={close} risk submit={t.form.remove} keep={t.artifact.keep} run={async () => {
          await call("DELETE /projects/{project}/repositories/{repository}/artifacts/{reference}", { path: { project: p.name, repository, reference: a.digest } });
          toast(t.artifact.removed);
          go(repositoryHref(p.name, repository));
        }}><p>{t.artifact.removeText}</p>{a.tags.length > 0 && <p>{a.tags.map((x) => x.name).join(", ")}</p>}</FormDialog>
      )}
    </>
  );
}

function AddTag({ project, repository, artifact, again, close }: Of & { close: () => void }) {
  const form = useForm({ name: "" });
  return (
    <FormDialog title={t.artifact.addTag} close={close} submit={t.artifact.addTag} run={async () => {
      await call("POST /projects/{project}/repositories/{repository}/artifacts/{reference}/tags",
        { path: { project: project.name, repository, reference: artifact.digest }, body: { name: form.values.name.trim() } });
      again();
    }}><Text form={form} name="name" label={t.artifact.tagName} required focus /></FormDialog>
  );
}

function AddLabel({ project, repository, artifact, again, close }: Of & { close: () => void }) {
  const labels = useLoad("labels", async (signal) => {
    const [own, hub] = await Promise.all([
      call("GET /labels", { query: { scope: "p", project_id: project.project_id, page_size: 100 }, signal }),
      call("GET /labels", { query: { scope: "g", page_size: 100 }, signal }),
    ]);
    return [...own.value, ...hub.value].filter((l) => !artifact.labels.some((x) => x.id === l.id));
  });
  const form = useForm({ id: "" });
  const first = labels.value?.[0];
  return (
    <FormDialog title={t.artifact.addLabel} close={close} submit={t.artifact.addLabel} run={async () => {
      await call("POST /projects/{project}/repositories/{repository}/artifacts/{reference}/labels",
        { path: { project: project.name, repository, reference: artifact.digest }, body: { id: Number(form.values.id || first?.id) } });
      again();
    }}>
      {labels.error && <Trouble error={labels.error} />}
      {labels.value?.length === 0 && <Note title={t.artifact.noLabel}>{t.labels.emptyText}</Note>}
      {first && <Choice form={form} name="id" label={t.labels.title} options={labels.value!.map((l) => [String(l.id), l.name])} />}
    </FormDialog>
  );
}

function CopyTo({ project, repository, artifact, close }: Of & { close: () => void }) {
  const projects = useLoad("targets", async (signal) => (await call("GET /projects", { query: { page_size: 100, sort: "name" }, signal })).value
    .filter((p) => may("repository:push", p) && !p.registry_id));
  const form = useForm({ project: "", repository });
  const first = projects.value?.find((p) => p.name !== project.name) ?? projects.value?.[0];
  const to = form.values.project || first?.name || "";
  return (
    <FormDialog title={t.artifact.copy} close={close} submit={t.artifact.copy} run={async () => {
      const name = form.values.repository.trim();
      await call("POST /projects/{project}/repositories/{repository}/artifacts",
        { path: { project: to, repository: name }, query: { from: `${artifact.repository_name}@${artifact.digest}` } });
      toast(t.artifact.copied(`${to}/${name}`));
    }}>
      <p class="soft">{t.artifact.copyText}</p>
      {projects.error && <Trouble error={projects.error} />}
      {projects.value?.length === 0 && <Note kind="warn" title={t.artifact.nowhere} />}
      {first && <div class="two">
        <Choice form={{ ...form, values: { ...form.values, project: to } }} name="project" label={t.shell.project} options={projects.value!.map((p) => [p.name, p.name])} />
        <Text form={form} name="repository" label={t.repositories.name} required />
      </div>}
    </FormDialog>
  );
}

// Overview is the first tab.
export function Overview(o: Of) {
  const { project: p, repository, artifact: a } = o;
  return (
    <div class="cols">
      <div class="stack">
        {a.references.length > 0 && <Platforms {...o} />}
        <TagTable {...o} />
        <Section title={t.artifact.about} about={a.accessories?.length ?? 0}><Accessories {...o} /></Section>
      </div>
      <div class="stack">
        <Section title={t.project.pull}><Code label={t.project.pull} lines={[pull(o)]} /></Section>
        <Section title={t.project.facts}>
          <KV of={[
            [t.repositories.digest, <><code>{a.digest}</code> <Copy text={a.digest} label={t.command.copyWhat(t.repositories.digest)} /></>],
            [t.repositories.kind, t.repositories.kinds[a.references.length > 0 ? "INDEX" : a.type] ?? a.type],
            [t.artifact.media, <code>{a.manifest_media_type}</code>],
            [t.repositories.size, bytes(a.size)],
            [t.repositories.pushed, <><Time at={a.push_time} />{a.pushed_by && " " + t.repositories.by(a.pushed_by)}</>],
            [t.repositories.pulled, <Time at={a.pull_time} />],
            [t.labels.title, <Labels {...o} />],
          ]} />
        </Section>
        <p><a href={repositoryHref(p.name, repository)}>{t.artifact.all}</a></p>
      </div>
    </div>
  );
}

function Labels({ project: p, repository, artifact: a, again }: Of): ComponentChildren {
  if (a.labels.length === 0) return t.artifact.noLabels;
  return (
    <span class="states">{a.labels.map((l) => (
      <span key={l.id} class="with"><LabelMark label={l} />{may("repository:push", p) && (
        <button type="button" class="ghost tiny" aria-label={t.artifact.dropLabel(l.name)} onClick={async () => {
          await call("DELETE /projects/{project}/repositories/{repository}/artifacts/{reference}/labels/{label}",
            { path: { project: p.name, repository, reference: a.digest, label: l.id } }).catch((e) => toast(String(e.message)));
          again();
        }}><Icon name="x" /></button>
      )}</span>
    ))}</span>
  );
}

function TagTable({ project: p, repository, artifact: a, again }: Of) {
  const [removing, remove] = useState<string>();
  return (
    <Section title={t.repositories.tags} about={a.tags.length}>
      {a.tags.length === 0 ? <p class="soft">{t.artifact.untagged}</p> : (
        <div class="panel"><table class="grid cards" aria-label={t.repositories.tags}>
          <thead><tr><th scope="col">{t.repositories.name}</th><th scope="col">{t.repositories.pushed}</th><th scope="col">{t.repositories.pulled}</th>
            {may("artifact:delete", p) && <th scope="col" class="more"><span class="off">{t.table.actions}</span></th>}</tr></thead>
          <tbody>{a.tags.map((x) => (
            <tr key={x.name}><th scope="row"><span class="tag">{x.immutable && <Icon name="lock" />}{x.name}</span></th>
              <td data-l={t.repositories.pushed}><Time at={x.push_time} /></td><td data-l={t.repositories.pulled}><Time at={x.pull_time} /></td>
              {may("artifact:delete", p) && <td class="more"><Button small kind="risk" why={x.immutable ? t.artifact.immutable : undefined}
                label={t.artifact.removeTag(x.name)} onClick={() => remove(x.name)}>{t.form.remove}</Button></td>}</tr>
          ))}</tbody>
        </table></div>
      )}
      {removing && (
        <FormDialog title={t.artifact.removeTag(removing)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /projects/{project}/repositories/{repository}/artifacts/{reference}/tags/{tag}",
            { path: { project: p.name, repository, reference: a.digest, tag: removing } });
          again();
        }}><p>{t.artifact.removeTagText}</p></FormDialog>
      )}
    </Section>
  );
}

function Platforms({ project: p, repository, artifact: a }: Of) {
  return (
    <Section title={t.artifact.platforms} about={a.references.length}>
      <ul class="list panel">{a.references.map((r) => (
        <li key={r.child_digest}><Icon name="layers" /><div>
          <a class="t" href={artifactHref(p.name, repository, r.child_digest)}>{[r.platform?.os, r.platform?.architecture, r.platform?.variant].filter(Boolean).join("/") || cut(r.child_digest)}</a>
          <p><code>{cut(r.child_digest)}</code></p></div></li>
      ))}</ul>
    </Section>
  );
}

function Accessories({ project: p, repository, artifact: a }: Of) {
  const list: Accessory[] = a.accessories ?? [];
  if (list.length === 0) return <p class="soft">{t.artifact.nothingAbout}</p>;
  return (
    <ul class="list panel">{list.map((x) => (
      <li key={x.digest}><Icon name={x.type.startsWith("signature") ? "badge-check" : x.type.startsWith("sbom") ? "file-text" : "link"} /><div>
        <a class="t" href={artifactHref(p.name, repository, x.digest)}>{t.artifact.accessory[x.type] ?? x.artifact_type}</a>
        <p>{bytes(x.size)}, {known(x.creation_time) && <Time at={x.creation_time} />} <code>{cut(x.digest)}</code></p></div></li>
    ))}</ul>
  );
}

// fullName is an artifact's repository without its project.
export function fullName(a: Artifact): string {
  return below(a.repository_name);
}
