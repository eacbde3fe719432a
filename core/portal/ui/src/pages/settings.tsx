// Settings of the whole hub, its health, its labels.
import { useEffect } from "preact/hooks";
import type { Setting } from "../gen/api";
import { address, call } from "../lib/api";
import { bytes } from "../lib/format";
import { useGet, useLoad } from "../lib/load";
import { find } from "../lib/session";
import { Bones, Button, Meter, Note, Page, Section, State, Time, Trouble } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { Check, Text, useDoing, useForm } from "../parts/form";
import { toast } from "../parts/toast";
import { LabelList } from "./labels";
import { cronText } from "./schedule";
import { gib } from "./projects";
import { t } from "../text";

export function Settings() {
  const settings = useGet("GET /configurations");
  return (
    <Page title={t.admin.settings.title} intro={t.hub.intro}
      acts={<ShowCommand lines={["vic hub api GET /configurations", `vic hub api PUT /configurations --data '{"read_only": true}'`]} />}>
      <div class="body cols">
        <div class="stack">
          {settings.error ? <Trouble error={settings.error} again={settings.again} /> : settings.value ? <Values of={settings.value} again={settings.again} /> : <Bones lines={6} />}
          <LabelList can />
        </div>
        <div class="stack"><Health /><Room /><Schedules /></div>
      </div>
    </Page>
  );
}

function Values({ of, again }: { of: Record<string, Setting>; again: () => void }) {
  const value = (name: string) => of[name]?.value;
  const storage = Number(value("storage_per_project"));
  const form = useForm({
    read_only: Boolean(value("read_only")), banner_message: String(value("banner_message") ?? ""), token_expiration: String(value("token_expiration")),
    robot_token_duration: String(value("robot_token_duration")), storage: storage < 0 ? "-1" : String(storage / 2 ** 30),
  });
  const { busy, error, run } = useDoing();
  const v = form.values;
  const save = (e: Event) => {
    e.preventDefault();
    void run(async () => {
      await call("PUT /configurations", { body: { read_only: v.read_only, banner_message: v.banner_message, token_expiration: Number(v.token_expiration),
        robot_token_duration: Number(v.robot_token_duration), storage_per_project: gib(v.storage) } });
      toast(t.form.saved);
      again();
      await find(); // the banner, and whether all is read-only
    });
  };
  return (
    <Section title={t.hub.settings}>
      <form class="panel pad form" onSubmit={save}>
        <Check form={form} name="read_only" label={t.hub.readOnly} hint={t.hub.readOnlyHint} />
        <Text form={form} name="banner_message" label={t.hub.banner} hint={t.hub.bannerHint} rows={2} optional />
        <div class="two">
          <Text form={form} name="token_expiration" label={t.hub.tokens} hint={t.hub.tokensHint} required />
          <Text form={form} name="robot_token_duration" label={t.hub.robots} hint={t.hub.robotsHint} required />
          <Text form={form} name="storage" label={t.hub.storage} hint={t.hub.storageHint} required />
        </div>
        {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
        <p><Button type="submit" kind="main" busy={busy}>{t.form.save}</Button></p>
      </form>
    </Section>
  );
}

function Health() {
  const health = useGet("GET /health");
  useEffect(() => {
    const timer = setInterval(health.again, 30_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <Section title={t.hub.health}>
      {health.error ? <Trouble error={health.error} again={health.again} /> : (
        <ul class="parts">{(health.value?.components ?? []).map((c) => (
          <li key={c.name}><State kind={c.status === "healthy" ? "done" : "ill"}>{c.name}</State>{c.error && <p class="hint">{c.error}</p>}</li>
        ))}</ul>
      )}
      <p><a href={address("GET /systeminfo/getcert")} data-leaves download="ca.crt">{t.keys.ca}</a></p>
    </Section>
  );
}

function Room() {
  const room = useGet("GET /systeminfo/volumes");
  if (!room.value?.storage.length) return null;
  return (
    <Section title={t.hub.room}>
      <div class="meters">{room.value.storage.map((s, i) => (
        <Meter key={i} label={t.hub.disk} used={s.total - s.free} hard={s.total} text={t.hub.free(bytes(s.free), bytes(s.total))} />
      ))}</div>
    </Section>
  );
}

function Schedules() {
  const list = useLoad("schedules", async (signal) => (await call("GET /schedules", { query: { page_size: 20 }, signal })).value);
  if (!list.value?.length) return null;
  return (
    <Section title={t.hub.schedules}>
      <ul class="parts">{list.value.map((s) => (
        <li key={s.id}><strong>{t.tasks.kinds[s.vendor_type] ?? s.vendor_type}</strong>
          <p class="hint">{cronText(s.cron)}, {t.hub.next} <Time at={s.next_scheduled_time} /></p></li>
      ))}</ul>
    </Section>
  );
}
