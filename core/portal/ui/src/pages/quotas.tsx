// Quotas of all projects.
import { useState } from "preact/hooks";
import type { Amounts, ProjectQuota } from "../gen/api";
import { call } from "../lib/api";
import { bytes } from "../lib/format";
import { useList } from "../lib/load";
import { Button, Empty, Meter, Page } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { FormDialog, Text, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { gib } from "./projects";
import { t } from "../text";

export function Quotas() {
  const list = useList("GET /quotas", {}, { sort: "-used.storage" });
  const [open, set] = useState<ProjectQuota>();
  const amount = (q: ProjectQuota) => (q.hard.storage < 0 ? t.project.ofNone(bytes(q.used.storage)) : t.project.of(bytes(q.used.storage), bytes(q.hard.storage)));
  const columns: Column<ProjectQuota>[] = [
    { title: t.projects.name, head: true, cell: (q) => <a href={projectHref(q.ref.name)}>{q.ref.name}</a> },
    { title: t.quotas.storage, sort: "used.storage", fill: true, cell: (q) => <Meter label={t.quotas.used} used={q.used.storage} hard={q.hard.storage} text={amount(q)} /> },
    { title: t.project.repos, num: true, cell: (q) => (q.hard.repositories < 0 ? q.used.repositories : t.project.of(String(q.used.repositories), String(q.hard.repositories))) },
    { title: t.table.actions, act: true, cell: (q) => <Button small label={t.quotas.setOf(q.ref.name)} onClick={() => set(q)}>{t.form.change}</Button> },
  ];
  return (
    <Page title={t.admin.quotas.title} intro={t.quotas.text} acts={<ShowCommand lines={["vic hub quota ls", "vic hub quota set --storage 10GiB PROJECT"]} />}>
      <Table list={list} columns={columns} of={(q) => q.id} label={t.admin.quotas.title} empty={<Empty icon="gauge" title={t.projects.empty} />} />
      {open && <QuotaDialog id={open.id} name={open.ref.name} hard={open.hard} close={() => set(undefined)} done={list.again} />}
    </Page>
  );
}

interface Props {
  id: number;
  name: string;
  hard: Amounts;
  close: () => void;
  done: () => void;
}

export function QuotaDialog({ id, name, hard, close, done }: Props) {
  const form = useForm({ storage: hard.storage < 0 ? "-1" : String(Math.round(hard.storage / 2 ** 30 * 1000) / 1000), repositories: String(hard.repositories) });
  return (
    <FormDialog title={t.quotas.setOf(name)} close={close} submit={t.project.quotaSet} run={async () => {
      await call("PUT /quotas/{quota}", { path: { quota: id }, body: { hard: { storage: gib(form.values.storage), repositories: Number(form.values.repositories) } } });
      done();
    }}>
      <div class="two">
        <Text form={form} name="storage" label={t.project.quotaGiB} required focus />
        <Text form={form} name="repositories" label={t.project.quotaRepos} required />
      </div>
      <p class="hint">{t.project.quotaHint}</p>
    </FormDialog>
  );
}
