// What a DevOps administrator sets of a project, and where a cloud administrator deletes it.
import { useEffect, useState } from "preact/hooks";
import type { Project } from "../gen/api";
import { call, offers } from "../lib/api";
import { bytes } from "../lib/format";
import { useGet } from "../lib/load";
import { go, href } from "../lib/router";
import { may } from "../lib/session";
import { Button, Note, Page, Section } from "../parts/basic";
import { quoted, ShowCommand } from "../parts/command";
import { Check, FormDialog, Text, useDoing, useForm } from "../parts/form";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { Publicity } from "./project";
import { Access } from "./projects";
import { QuotaDialog } from "./quotas";
import { t } from "../text";

export function ProjectConfiguration({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{(p, again) => <Configuration project={p} again={again} />}</OfProject>;
}

function Configuration({ project: p, again }: { project: Project; again: () => void }) {
  const [asking, ask] = useState<"access" | "quota" | "remove">();
  const open = p.metadata.public === "true";
  const sum = useGet("GET /projects/{project}/summary", { path: { project: p.name } });
  const quota = sum.value?.quota;
  return (
    <Page title={t.project.configuration} crumbs={[{ text: p.name, href: projectHref(p.name) }]}
      acts={<ShowCommand lines={[`vic hub project inspect ${quoted(p.name)}`, `vic hub project update --public=${!open} ${quoted(p.name)}`,
        ...(may("quota:manage") ? [`vic hub quota set --storage 10GiB ${quoted(p.name)}`] : [])]} />}>
      <div class="body narrow-body">
        <Section title={t.settings.access}>
          <div class="panel row"><div><Access of={p} /><p class="soft">{open ? t.project.isPublic : t.project.isPrivate}</p></div>
            <Button icon={open ? "lock" : "globe"} onClick={() => ask("access")}>{open ? t.project.makePrivate : t.project.makePublic}</Button></div>
        </Section>
        <Scanning project={p} again={again} />
        {quota && (
          <Section title={t.project.fill}>
            <div class="panel row"><div><strong>{quota.hard.storage < 0 ? t.project.ofNone(bytes(quota.used.storage)) : t.project.of(bytes(quota.used.storage), bytes(quota.hard.storage))}</strong>
              <p class="soft">{t.quotas.text}</p></div>
              {may("quota:manage") && <Button icon="gauge" onClick={() => ask("quota")}>{t.project.quotaSet}</Button>}</div>
          </Section>
        )}
        {may("project:delete") && (
          <Section title={t.settings.danger}>
            <div class="panel row"><div><strong>{t.project.remove}</strong><p class="soft">{t.project.removeText}</p></div>
              <Button kind="risk" icon="trash-2" onClick={() => ask("remove")}>{t.project.remove}</Button></div>
          </Section>
        )}
      </div>
      {asking === "access" && <Publicity project={p} close={() => ask(undefined)} done={again} />}
      {asking === "quota" && quota && <QuotaDialog id={p.project_id} name={p.name} hard={quota.hard} close={() => ask(undefined)} done={sum.again} />}
      {asking === "remove" && <Remove project={p} close={() => ask(undefined)} />}
    </Page>
  );
}

// Scanning is there when the hub scans.
function Scanning({ project: p, again }: { project: Project; again: () => void }) {
  const [there, set] = useState(false);
  useEffect(() => void offers("POST /projects/{project}/repositories/{repository}/artifacts/{reference}/scan").then(set), []);
  const form = useForm({ scan: p.metadata.auto_scan === "true", sbom: p.metadata.auto_sbom_generation === "true" });
  const { busy, error, run } = useDoing();
  if (!there) return null;
  const save = () => run(async () => {
    await call("PUT /projects/{project}", { path: { project: p.name }, body: {
      metadata: { auto_scan: String(form.values.scan), auto_sbom_generation: String(form.values.sbom) },
    } });
    toast(t.form.saved);
    again();
  });
  return (
    <Section title={t.settings.scanning}>
      <div class="panel pad form"><Check form={form} name="scan" label={t.settings.autoScan} /><Check form={form} name="sbom" label={t.settings.autoSbom} />
        {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
        <p><Button kind="main" busy={busy} onClick={() => void save()}>{t.form.save}</Button></p></div>
    </Section>
  );
}

function Remove({ project: p, close }: { project: Project; close: () => void }) {
  const can = useGet("GET /projects/{project}/_deletable", { path: { project: p.name } });
  const form = useForm({ typed: "" });
  return (
    <FormDialog title={t.project.removeAsk(p.name)} close={close} risk submit={t.project.remove} keep={t.project.removeKeep} run={async () => {
      if (form.values.typed.trim() !== p.name) throw new Error(t.project.removeType(p.name));
      await call("DELETE /projects/{project}", { path: { project: p.name } });
      toast(t.project.removed(p.name));
      go(href("/projects"));
    }}>
      {can.value && !can.value.deletable ? <Note kind="warn" title={t.project.notNow}>{can.value.message}</Note> : <p>{t.project.removeText}</p>}
      <Text form={form} name="typed" label={t.project.removeType(p.name)} required focus />
    </FormDialog>
  );
}
