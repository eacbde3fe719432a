// Garbage collection: its runs, its schedule, what it gave back.
import { useState } from "preact/hooks";
import type { Gc } from "../gen/api";
import { call } from "../lib/api";
import { bytes, seconds } from "../lib/format";
import { useGet, useList, useLoad } from "../lib/load";
import { Bones, Button, Empty, Page, State, Time, Trouble } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { Check, Dialog, FormDialog, Text, useDoing, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { stateKind } from "../shell/tasks";
import { cronText, crons } from "./schedule";
import { t } from "../text";

interface Report {
  dry_run?: boolean;
  delete_untagged?: boolean;
  freed_space?: number;
  purged_blobs?: number;
  purged_manifests?: number;
}

function report(g: Gc): Report {
  try {
    return JSON.parse(g.job_parameters) as Report;
  } catch {
    return {};
  }
}

const goesOn = (g: Gc) => ["Running", "Pending"].includes(g.job_status);

export function Garbage() {
  const list = useList("GET /system/gc", {});
  const schedule = useGet("GET /system/gc/schedule");
  const [open, set] = useState<"run" | "when" | Gc>();
  const { busy, run } = useDoing();
  const cron = schedule.value?.schedule?.cron ?? "";
  const columns: Column<Gc>[] = [
    { title: t.tasks.state, cell: (g) => <State kind={stateKind(g.job_status)}>{t.tasks.status[g.job_status] ?? g.job_status}</State> },
    { title: t.tasks.started, head: true, cell: (g) => <Time at={g.creation_time} /> },
    { title: t.gc.kind, cell: (g) => [report(g).dry_run ? t.gc.try : t.gc.real, report(g).delete_untagged && t.gc.withUntagged].filter(Boolean).join(", ") },
    { title: t.gc.freed, num: true, cell: (g) => bytes(report(g).freed_space ?? 0) },
    { title: t.gc.artifacts, num: true, cell: (g) => report(g).purged_manifests ?? 0 },
    { title: t.gc.objects, num: true, cell: (g) => report(g).purged_blobs ?? 0 },
    { title: t.tasks.took, cell: (g) => seconds(g.creation_time, goesOn(g) ? undefined : g.update_time) },
    { title: t.tasks.cause, cell: (g) => t.tasks.trigger[g.job_kind.toUpperCase()] ?? g.job_kind },
    {
      title: t.table.actions, act: true, cell: (g) => (
        <span class="acts">
          <Button small label={t.gc.logOf(g.id)} onClick={() => set(g)}>{t.webhooks.log}</Button>
          {goesOn(g) && <Button small kind="risk" busy={busy} onClick={() => void run(async () => {
            await call("PUT /system/gc/{gc}", { path: { gc: g.id } });
            list.again();
          })}>{t.gc.stop}</Button>}
        </span>
      ),
    },
  ];
  return (
    <Page title={t.admin.gc.title} intro={t.gc.intro} acts={<>
      <ShowCommand lines={["vic hub gc ls", "vic hub gc run --dry-run", "vic hub gc run", "vic hub gc schedule daily"]} />
      <Button icon="clock" onClick={() => set("when")}>{cron ? cronText(cron) : t.gc.schedule}</Button>
      <Button kind="main" icon="recycle" onClick={() => set("run")}>{t.gc.run}</Button>
    </>}>
      <Table list={list} columns={columns} of={(g) => g.id} label={t.admin.gc.title} empty={<Empty icon="recycle" title={t.gc.empty}>{t.gc.emptyText}</Empty>} />
      {open === "run" && <Run close={() => set(undefined)} done={list.again} />}
      {open === "when" && schedule.value && <When cron={cron} close={() => set(undefined)} done={schedule.again} />}
      {typeof open === "object" && <Log gc={open} close={() => set(undefined)} />}
    </Page>
  );
}

function Run({ close, done }: { close: () => void; done: () => void }) {
  const form = useForm({ dry: false, untagged: false });
  return (
    <FormDialog title={t.gc.run} close={close} submit={form.values.dry ? t.gc.tryIt : t.gc.run} run={async () => {
      await call("POST /system/gc/schedule", { body: { schedule: { type: "Manual" }, parameters: { dry_run: form.values.dry, delete_untagged: form.values.untagged } } });
      toast(t.gc.started);
      done();
    }}>
      <p class="soft">{t.gc.runText}</p>
      <Check form={form} name="dry" label={t.gc.dry} />
      <Check form={form} name="untagged" label={t.gc.untagged} hint={t.gc.untaggedHint} />
    </FormDialog>
  );
}

function When({ cron, close, done }: { cron: string; close: () => void; done: () => void }) {
  const form = useForm({ cron });
  return (
    <FormDialog title={t.policies.when} close={close} submit={t.form.save} run={async () => {
      const c = form.values.cron.trim();
      await call("PUT /system/gc/schedule", { body: { schedule: c ? { type: "Custom", cron: c } : { type: "None" }, parameters: {} } });
      done();
    }}><Text form={form} name="cron" label={t.schedule.cron} hint={t.schedule.hint} mono list={crons} optional focus /></FormDialog>
  );
}

function Log({ gc, close }: { gc: Gc; close: () => void }) {
  const log = useLoad("gc" + gc.id, async (signal) => (await call("GET /system/gc/{gc}/log", { path: { gc: gc.id }, signal })).value);
  return (
    <Dialog title={t.gc.logOf(gc.id)} close={close} wide>
      <div>{log.error ? <Trouble error={log.error} again={log.again} /> : log.value === undefined ? <Bones /> : (
        <div class="code whole"><pre tabIndex={0} role="log">{String(log.value).trim() || t.webhooks.noLog}</pre></div>
      )}</div>
    </Dialog>
  );
}
