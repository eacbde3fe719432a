// Webhooks of a project, and what became of their deliveries.
import { useState } from "preact/hooks";
import type { Execution, Project, Webhook } from "../gen/api";
import { call } from "../lib/api";
import { seconds } from "../lib/format";
import { useGet, useList, useLoad } from "../lib/load";
import { Bones, Button, Empty, KV, Page, Section, State, Time, Trouble } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { Check, Choice, Dialog, FormDialog, Picks, Text, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { stateKind } from "../shell/tasks";
import { OfProject } from "./project-page";
import { t } from "../text";

export function Webhooks({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{(p) => <List project={p} />}</OfProject>;
}

function List({ project: p }: { project: Project }) {
  const list = useList("GET /projects/{project}/webhook/policies", { path: { project: p.name } });
  const [open, set] = useState<Webhook | "new">();
  const [removing, remove] = useState<Webhook>();
  const columns: Column<Webhook>[] = [
    { title: t.webhooks.name, head: true, cell: (w) => <a href={projectHref(p.name, "/webhooks/" + w.id)}>{w.name}</a> },
    { title: t.webhooks.state, cell: (w) => <State kind={w.enabled ? "done" : "stop"}>{w.enabled ? t.webhooks.on : t.webhooks.off}</State> },
    { title: t.webhooks.to, fill: true, cell: (w) => w.targets.map((x) => <code key={x.address}>{x.address}</code>) },
    { title: t.webhooks.events, cell: (w) => w.event_types.map((e) => t.webhooks.event[e] ?? e).join(", ") },
    {
      title: t.table.actions, act: true, cell: (w) => (
        <span class="acts">
          <Button small label={t.labels.change(w.name)} onClick={() => set(w)}>{t.form.change}</Button>
          <Button small kind="risk" label={t.webhooks.removeAsk(w.name)} onClick={() => remove(w)}>{t.form.remove}</Button>
        </span>
      ),
    },
  ];
  const plus = <Button kind="main" icon="plus" onClick={() => set("new")}>{t.webhooks.make}</Button>;
  return (
    <Page title={t.project.webhooks} intro={t.webhooks.intro} crumbs={[{ text: p.name, href: projectHref(p.name) }]}
      acts={<><ShowCommand lines={[`vic hub api GET /projects/${p.name}/webhook/policies`]} />{plus}</>}>
      <Table list={list} columns={columns} of={(w) => w.id} label={t.project.webhooks}
        empty={<Empty icon="webhook" title={t.webhooks.empty} acts={plus}>{t.webhooks.emptyText}</Empty>} />
      {open && <Edit project={p} webhook={open === "new" ? undefined : open} close={() => set(undefined)} done={list.again} />}
      {removing && (
        <FormDialog title={t.webhooks.removeAsk(removing.name)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /projects/{project}/webhook/policies/{policy}", { path: { project: p.name, policy: removing.id } });
          list.again();
        }}><p>{t.webhooks.removeText}</p></FormDialog>
      )}
    </Page>
  );
}

function Edit({ project: p, webhook: w, close, done }: { project: Project; webhook?: Webhook; close: () => void; done: () => void }) {
  const events = useGet("GET /projects/{project}/webhook/events", { path: { project: p.name } });
  const target = w?.targets[0];
  const form = useForm({
    name: w?.name ?? "", address: target?.address ?? "", header: "", secret: "", format: target?.payload_format ?? "Default", enabled: w?.enabled ?? true,
    insecure: target?.skip_cert_verify ?? false, events: w?.event_types ?? ["PUSH_ARTIFACT"],
  });
  const v = form.values;
  const run = async () => {
    const body = {
      name: v.name.trim(), enabled: v.enabled, description: w?.description ?? "", event_types: v.events,
      targets: [{ type: "http", address: v.address.trim(), payload_format: v.format, skip_cert_verify: v.insecure,
        ...(v.header ? { auth_header: v.header } : {}), ...(v.secret ? { secret: v.secret } : {}) }],
    };
    if (w) await call("PUT /projects/{project}/webhook/policies/{policy}", { path: { project: p.name, policy: w.id }, body });
    else await call("POST /projects/{project}/webhook/policies", { path: { project: p.name }, body });
    done();
  };
  const formats = events.value?.payload_formats[0]?.formats ?? ["Default"];
  return (
    <FormDialog title={w ? t.labels.change(w.name) : t.webhooks.make} close={close} submit={w ? t.form.save : t.webhooks.make} run={run} wide>
      <div class="two">
        <Text form={form} name="name" label={t.webhooks.name} required focus />
        <Choice form={form} name="format" label={t.webhooks.format} options={formats.map((f) => [f, f])} />
      </div>
      <Text form={form} name="address" label={t.webhooks.address} hint={t.webhooks.addressHint} placeholder="https://ci.example.com/hook" required />
      <div class="two">
        <Text form={form} name="header" label={t.webhooks.header} hint={target?.auth_header ? t.webhooks.keptHeader : t.webhooks.headerHint} optional />
        <Text form={form} name="secret" label={t.webhooks.secret} hint={target?.signed ? t.webhooks.keptSecret : t.webhooks.secretHint} type="password" autocomplete="new-password" optional />
      </div>
      {events.error && <Trouble error={events.error} />}
      {events.value && <Picks form={form} name="events" label={t.webhooks.events} options={events.value.event_type.map((e) => [e, t.webhooks.event[e] ?? e])} />}
      <Check form={form} name="insecure" label={t.webhooks.insecure} />
      <Check form={form} name="enabled" label={t.webhooks.enabled} />
    </FormDialog>
  );
}

export function WebhookPage({ project: name, policy }: Record<string, string>) {
  return <OfProject name={name}>{(p) => <Deliveries project={p} policy={Number(policy)} />}</OfProject>;
}

function Deliveries({ project: p, policy }: { project: Project; policy: number }) {
  const path = { project: p.name, policy };
  const hook = useGet("GET /projects/{project}/webhook/policies/{policy}", { path });
  const list = useList("GET /projects/{project}/webhook/policies/{policy}/executions", { path });
  const [open, set] = useState<Execution>();
  const crumbs = [{ text: p.name, href: projectHref(p.name) }, { text: t.project.webhooks, href: projectHref(p.name, "/webhooks") }];
  if (!hook.value) return <Page title={t.webhooks.deliveries} crumbs={crumbs}><div class="body">{hook.error ? <Trouble error={hook.error} again={hook.again} /> : <Bones />}</div></Page>;
  const target = hook.value.targets[0];
  const event = (x: Execution) => {
    const type = (x.extra_attrs as Record<string, unknown> | null)?.event_type;
    return typeof type === "string" ? t.webhooks.event[type] ?? type : t.webhooks.delivery(x.id);
  };
  const columns: Column<Execution>[] = [
    { title: t.tasks.state, cell: (x) => <State kind={stateKind(x.status)}>{t.tasks.status[x.status] ?? x.status}</State> },
    { title: t.webhooks.what, head: true, cell: event },
    { title: t.tasks.started, cell: (x) => <Time at={x.start_time} /> },
    { title: t.tasks.took, cell: (x) => seconds(x.start_time, x.end_time) },
    { title: t.tasks.result, fill: true, cell: (x) => x.status_message || "–" },
    { title: t.table.actions, act: true, cell: (x) => <Button small label={t.webhooks.logOf(x.id)} onClick={() => set(x)}>{t.webhooks.log}</Button> },
  ];
  return (
    <Page title={hook.value.name} crumbs={crumbs} state={<State kind={hook.value.enabled ? "done" : "stop"}>{hook.value.enabled ? t.webhooks.on : t.webhooks.off}</State>}
      acts={<Button icon="refresh-cw" onClick={list.again}>{t.webhooks.reload}</Button>}>
      <div class="body cols">
        <Section title={t.webhooks.deliveries} about={t.webhooks.deliveriesAbout}>
          <Table list={list} columns={columns} of={(x) => x.id} label={t.webhooks.deliveries} panel
            empty={<div class="panel"><Empty icon="send" title={t.webhooks.noDelivery}>{t.webhooks.noDeliveryText}</Empty></div>} />
        </Section>
        <Section title={t.project.facts}>
          <KV of={[[t.webhooks.to, <code>{target?.address}</code>], [t.webhooks.format, target?.payload_format], [t.webhooks.signed, target?.signed ? t.webhooks.yes : t.webhooks.no],
            [t.webhooks.events, hook.value.event_types.map((e) => t.webhooks.event[e] ?? e).join(", ")], [t.project.owner, hook.value.creator]]} />
        </Section>
      </div>
      {open && <Log project={p.name} policy={policy} execution={open.id} close={() => set(undefined)} />}
    </Page>
  );
}

function Log({ project, policy, execution, close }: { project: string; policy: number; execution: number; close: () => void }) {
  const log = useLoad("log" + execution, async (signal) => {
    const path = { project, policy, execution };
    const tasks = await call("GET /projects/{project}/webhook/policies/{policy}/executions/{execution}/tasks", { path, signal });
    const texts = await Promise.all(tasks.value.map((x) => call("GET /projects/{project}/webhook/policies/{policy}/executions/{execution}/tasks/{task}/log",
      { path: { ...path, task: x.id }, signal })));
    return texts.map((x) => x.value).join("\n").trim();
  });
  return (
    <Dialog title={t.webhooks.logOf(execution)} close={close} wide>
      <div>{log.error ? <Trouble error={log.error} again={log.again} /> : log.value === undefined ? <Bones /> : (
        <div class="code whole"><pre tabIndex={0} role="log">{log.value || t.webhooks.noLog}</pre></div>
      )}</div>
    </Dialog>
  );
}
