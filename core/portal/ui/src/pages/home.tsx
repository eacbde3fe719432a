// The first page: the user's projects, and what of them is wrong.
import type { ComponentChildren } from "preact";
import type { IconName } from "../parts/icons";
import { address, call } from "../lib/api";
import { bytes, cutAll } from "../lib/format";
import { useGet, useList, useLoad } from "../lib/load";
import { href } from "../lib/router";
import { isAdmin, may, user } from "../lib/session";
import { Button, Empty, Icon, Page, Section, Time } from "../parts/basic";
import { Code, host } from "../parts/command";
import { Table } from "../parts/table";
import { projectHref } from "../shell/nav";
import { projectColumns } from "./projects";
import { t } from "../text";

interface Wrong {
  icon: IconName;
  kind: string;
  title: string;
  text: string;
  href?: string;
  act?: string;
}

export function Home() {
  const list = useList("GET /projects", {}, { sort: "name", size: 10 });
  const stats = useGet(user.value ? "GET /statistics" : undefined);
  const wrong = useWrong();
  const none = user.value && list.value?.length === 0;
  return (
    <Page title={t.home.title} intro={user.value ? t.home.intro(user.value.principal) : t.home.guest}
      acts={may("project:create") && <Button kind="main" icon="plus" href={href("/projects", { create: 1 })}>{t.projects.create}</Button>}>
      <div class="body cols">
        <div class="stack">
          {stats.value && (
            <div class="tally">
              <span class="fact"><b>{stats.value.total_project_count}</b><span>{t.home.counts.projects}</span></span>
              <span class="fact"><b>{stats.value.total_repo_count}</b><span>{t.home.counts.repositories}</span></span>
              <span class="fact"><b>{bytes(stats.value.total_storage_consumption)}</b><span>{t.home.counts.storage}</span></span>
            </div>
          )}
          {user.value && (
            <Section title={t.home.wrong} about={wrong.length || undefined}>
              {wrong.length === 0 ? <p class="calm"><Icon name="circle-check" />{t.home.fine}</p> : (
                <ul class="list panel">{wrong.map((w) => <WrongRow key={w.title} {...w} />)}</ul>
              )}
            </Section>
          )}
          <Section title={isAdmin.value || !user.value ? t.home.all : t.home.projects} about={list.value && list.total}
            link={<a href={href("/projects")}>{t.projects.title}</a>}>
            {none ? <div class="panel"><Empty icon="folder" title={t.home.none}>{t.home.noneText}</Empty></div>
              : <Table list={list} columns={projectColumns} of={(p) => p.project_id} label={t.home.projects} panel
                empty={<div class="panel"><Empty icon="folder" title={t.projects.empty}>{t.projects.emptyOther}</Empty></div>} />}
          </Section>
        </div>
        <div class="stack">
          <FirstSteps project={list.value?.find((p) => may("repository:push", p))?.name ?? list.value?.[0]?.name} />
          {isAdmin.value && <Activity />}
        </div>
      </div>
    </Page>
  );
}

function WrongRow(w: Wrong): ComponentChildren {
  return (
    <li><Icon name={w.icon} class={w.kind} /><div>{w.href ? <a class="t" href={w.href}>{w.title}</a> : <strong>{w.title}</strong>}<p>{w.text}</p></div>
      {w.href && w.act && <div class="end"><Button small href={w.href}>{w.act}</Button></div>}</li>
  );
}

// full is the part of a quota from which on one is told.
const full = 0.85;

// useWrong gathers what does not work, as far as the user may know.
function useWrong(): Wrong[] {
  const admin = isAdmin.value;
  const health = useGet(user.value ? "GET /health" : undefined);
  const quotas = useLoad(admin ? "quotas" : undefined, async (signal) =>
    (await call("GET /quotas", { query: { sort: "-used.storage", page_size: 50 }, signal })).value);
  const failed = useLoad(admin ? "failed" : undefined, async (signal) =>
    (await call("GET /jobservice/jobs", { query: { q: "status=Error", page_size: 5 }, signal })).value);
  const registries = useLoad(admin ? "registries" : undefined, async (signal) =>
    (await call("GET /registries", { query: { page_size: 100 }, signal })).value);
  const day = Date.now() - 24 * 3600_000;
  return [
    ...(health.value?.components ?? []).filter((c) => c.status !== "healthy").map((c): Wrong => (
      { icon: "circle-alert", kind: "bad", title: t.home.part(c.name), text: c.error ?? "" })),
    ...(registries.value ?? []).filter((r) => r.status === "unhealthy").map((r): Wrong => (
      { icon: "circle-dashed", kind: "lost", title: t.home.registryAway(r.name), text: t.home.registryText(r.url), href: href("/registries"), act: t.home.open })),
    ...(failed.value ?? []).filter((x) => new Date(x.start_time).getTime() > day).map((x): Wrong => (
      { icon: "circle-x", kind: "bad", title: t.home.failed(t.tasks.kinds[x.vendor_type] ?? x.vendor_type), text: x.status_message || t.home.failedText })),
    ...(quotas.value ?? []).filter((q) => q.hard.storage > 0 && q.used.storage >= full * q.hard.storage).map((q): Wrong => (
      { icon: "triangle-alert", kind: "warn", title: t.home.quotaHot(q.ref.name), text: t.home.quotaText(bytes(q.used.storage), bytes(q.hard.storage)),
        href: projectHref(q.ref.name), act: t.home.open })),
  ];
}

function FirstSteps({ project }: { project?: string }) {
  const h = host();
  const p = project ?? "PROJECT";
  return (
    <Section title={t.home.begin}>
      <div class="steps">
        <h3>{t.home.stepTrust}</h3>
        <Button small icon="download" leaves download="ca.crt" href={address("GET /systeminfo/getcert")}>{t.home.ca}</Button>
        <Code label={t.home.stepTrust} lines={[`sudo install -D ca.crt /etc/docker/certs.d/${h}/ca.crt`]} />
        <h3>{t.home.stepLogin}</h3>
        <Code label={t.home.stepLogin} lines={[`docker login ${user.value ? "-u " + user.value.username + " " : ""}${h}`]} />
        <h3>{t.home.stepPush}</h3>
        <Code label={t.home.stepPush} lines={[`docker tag IMAGE ${h}/${p}/NAME:TAG`, `docker push ${h}/${p}/NAME:TAG`]} />
      </div>
    </Section>
  );
}

function Activity() {
  const lines = useLoad("activity", async (signal) => (await call("GET /audit-logs", { query: { page_size: 6 }, signal })).value);
  if (!lines.value?.length) return null;
  return (
    <Section title={t.home.activity} link={<a href={href("/audit-log")}>{t.admin.audit.title}</a>}>
      <ol class="trail">
        {lines.value.map((l) => (
          <li key={l.id}><span class="face bot" aria-hidden="true">{(l.username || "?").slice(0, 2)}</span>
            <p><b>{l.username || t.shell.stranger}</b> {l.operation} {l.resource_type} <span class="soft">{cutAll(l.resource)}</span><br /><Time at={l.op_time} /></p></li>
        ))}
      </ol>
    </Section>
  );
}
