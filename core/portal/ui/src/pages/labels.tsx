// Labels, of a project or of the whole hub.
import { useState } from "preact/hooks";
import type { Label, Project } from "../gen/api";
import { call } from "../lib/api";
import { useList } from "../lib/load";
import { may } from "../lib/session";
import { Button, Empty, Page, Section, Time } from "../parts/basic";
import { FormDialog, Text, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { t } from "../text";

// LabelMark shows a label: its colour is a dot, since people choose any colour.
export function LabelMark({ label: l }: { label: Label }) {
  return <span class="tag" title={l.description}><span class="dot" style={{ background: l.color || "var(--idle-mark)" }} />{l.name}</span>;
}

export function ProjectLabels({ project: name }: Record<string, string>) {
  return (
    <OfProject name={name}>{(p) => (
      <Page title={t.labels.title} intro={t.labels.intro} crumbs={[{ text: name, href: projectHref(name) }]}>
        <div class="body"><LabelList project={p} can={may("project:update", p)} /><LabelList can={false} /></div>
      </Page>
    )}</OfProject>
  );
}

// LabelList is the table of a project's labels, or of those of the whole hub.
export function LabelList({ project: p, can }: { project?: Project; can: boolean }) {
  const scope = p ? { scope: "p", project_id: p.project_id } : { scope: "g" };
  const list = useList("GET /labels", { query: scope }, { sort: "name", name: p ? "" : "hub" });
  const [open, set] = useState<Label | "new">();
  const [removing, remove] = useState<Label>();
  const columns: Column<Label>[] = [
    { title: t.labels.name, sort: "name", head: true, cell: (l) => <LabelMark label={l} /> },
    { title: t.labels.description, fill: true, cell: (l) => l.description || <span class="soft">–</span> },
    { title: t.labels.created, sort: "creation_time", cell: (l) => <Time at={l.creation_time} /> },
  ];
  if (can) {
    columns.push({
      title: t.table.actions, act: true, cell: (l) => (
        <span class="acts">
          <Button small onClick={() => set(l)} label={t.labels.change(l.name)}>{t.form.change}</Button>
          <Button small kind="risk" onClick={() => remove(l)} label={t.labels.removeAsk(l.name)}>{t.form.remove}</Button>
        </span>
      ),
    });
  }
  return (
    <Section title={p ? t.labels.ofProject(p.name) : t.labels.ofHub} about={list.value && list.total}
      link={can && <Button small icon="plus" onClick={() => set("new")}>{t.labels.make}</Button>}>
      <Table list={list} columns={columns} of={(l) => l.id} label={p ? t.labels.ofProject(p.name) : t.labels.ofHub} name={p ? "" : "hub"} panel
        empty={<div class="panel"><Empty icon="tag" title={t.labels.empty}>{can ? t.labels.emptyText : ""}</Empty></div>} />
      {open && <Edit project={p} label={open === "new" ? undefined : open} close={() => set(undefined)} done={list.again} />}
      {removing && (
        <FormDialog title={t.labels.removeAsk(removing.name)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /labels/{label}", { path: { label: removing.id } });
          list.again();
        }}><p>{t.labels.removeText}</p></FormDialog>
      )}
    </Section>
  );
}

const colours = ["#2E7D32", "#1565C0", "#6A1B9A", "#A3151A", "#D98A12", "#566273"];

function Edit({ project: p, label, close, done }: { project?: Project; label?: Label; close: () => void; done: () => void }) {
  const form = useForm({ name: label?.name ?? "", description: label?.description ?? "", color: label?.color || colours[0] });
  const run = async () => {
    const body = { ...form.values, scope: p ? "p" : "g", project_id: p?.project_id ?? 0 };
    if (label) await call("PUT /labels/{label}", { path: { label: label.id }, body });
    else await call("POST /labels", { body });
    done();
  };
  return (
    <FormDialog title={label ? t.labels.change(label.name) : t.labels.make} close={close} submit={label ? t.form.save : t.labels.make} run={run}>
      <Text form={form} name="name" label={t.labels.name} required focus />
      <Text form={form} name="description" label={t.labels.description} optional />
      <fieldset class="colours"><legend>{t.labels.colour}</legend>
        {colours.map((c) => (
          <label key={c} class="check"><input type="radio" name="colour" checked={form.values.color === c} onChange={() => form.set({ color: c })} />
            <span class="dot" style={{ background: c }} /><code>{c}</code></label>
        ))}
      </fieldset>
    </FormDialog>
  );
}
