// Other registries that the hub knows: upstreams of proxy caches, and ends of replications.
import { useState } from "preact/hooks";
import type { Registry } from "../gen/api";
import { call } from "../lib/api";
import { useGet, useList } from "../lib/load";
import { Button, Empty, Page, State, Time } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { Check, Choice, FormDialog, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { t } from "../text";

export function Registries() {
  const list = useList("GET /registries", {}, { filter: (text) => ({ q: "name=~" + text }) });
  const [open, set] = useState<Registry | "new">();
  const [removing, remove] = useState<Registry>();
  const columns: Column<Registry>[] = [
    { title: t.registries.name, head: true, cell: (r) => <>{r.name}{r.description && <span class="under soft small">{r.description}</span>}</> },
    { title: t.vchs.state, cell: (r) => (r.status === "healthy" ? <State kind="done">{t.registries.healthy}</State> : <State kind="ill">{t.registries.ill}</State>) },
    { title: t.registries.kind, cell: (r) => t.registries.kinds[r.type] ?? r.type },
    { title: t.registries.url, fill: true, cell: (r) => <code>{r.url}</code> },
    { title: t.registries.account, cell: (r) => r.credential?.access_key || t.registries.nobody },
    { title: t.projects.created, cell: (r) => <Time at={r.creation_time} /> },
    {
      title: t.table.actions, act: true, cell: (r) => (
        <span class="acts">
          <Button small label={t.labels.change(r.name)} onClick={() => set(r)}>{t.form.change}</Button>
          <Button small kind="risk" label={t.registries.removeAsk(r.name)} onClick={() => remove(r)}>{t.form.remove}</Button>
        </span>
      ),
    },
  ];
  const plus = <Button kind="main" icon="plus" onClick={() => set("new")}>{t.registries.add}</Button>;
  return (
    <Page title={t.admin.registries.title} intro={t.registries.intro} acts={<><ShowCommand lines={["vic hub api GET /registries"]} />{plus}</>}>
      <div class="bar-row"><Find label={t.projects.find} value={list.find} /></div>
      <Table list={list} columns={columns} of={(r) => r.id} label={t.admin.registries.title}
        empty={<Empty icon="database" title={t.registries.empty} acts={plus}>{t.registries.emptyText}</Empty>} />
      {open && <Edit registry={open === "new" ? undefined : open} close={() => set(undefined)} done={list.again} />}
      {removing && (
        <FormDialog title={t.registries.removeAsk(removing.name)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /registries/{registry}", { path: { registry: removing.id } });
          list.again();
        }}><p>{t.registries.removeText}</p></FormDialog>
      )}
    </Page>
  );
}

const addresses: Record<string, string> = { "docker-hub": "https://hub.docker.com", "github-ghcr": "https://ghcr.io", quay: "https://quay.io" };

function Edit({ registry: r, close, done }: { registry?: Registry; close: () => void; done: () => void }) {
  const kinds = useGet("GET /replication/adapters");
  const form = useForm({
    name: r?.name ?? "", description: r?.description ?? "", type: r?.type ?? "docker-registry", url: r?.url ?? "", key: r?.credential?.access_key ?? "", secret: "",
    insecure: r?.insecure ?? false, ca: r?.ca_certificate ?? "",
  });
  const v = form.values;
  const body = () => ({
    name: v.name.trim(), description: v.description, type: v.type, url: v.url.trim() || (addresses[v.type] ?? ""), insecure: v.insecure, ca_certificate: v.ca.trim(),
    ...(r && !v.secret ? { access_key: v.key } : { credential: { type: "basic", access_key: v.key, access_secret: v.secret } }),
  });
  return (
    <FormDialog title={r ? t.labels.change(r.name) : t.registries.add} close={close} submit={r ? t.form.save : t.registries.add} wide run={async () => {
      if (r) await call("PUT /registries/{registry}", { path: { registry: r.id }, body: body() });
      else await call("POST /registries", { body: body() });
      done();
    }}>
      <div class="two">
        <Text form={form} name="name" label={t.registries.name} required focus />
        <Choice form={form} name="type" label={t.registries.kind} options={(kinds.value ?? [v.type]).map((k) => [k, t.registries.kinds[k] ?? k])} />
      </div>
      <Text form={form} name="url" label={t.registries.url} placeholder={addresses[v.type] ?? "https://registry.example.com"} required={!addresses[v.type]} hint={t.registries.asked} />
      <div class="two">
        <Text form={form} name="key" label={t.registries.account} optional />
        <Text form={form} name="secret" label={t.registries.secret} type="password" autocomplete="new-password" hint={r?.credential ? t.registries.keptSecret : undefined} optional />
      </div>
      <Text form={form} name="description" label={t.labels.description} optional />
      <Text form={form} name="ca" label={t.registries.ca} hint={t.registries.caHint} rows={3} mono optional />
      <Check form={form} name="insecure" label={t.registries.insecure} hint={t.registries.insecureHint} />
    </FormDialog>
  );
}
