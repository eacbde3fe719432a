// Robots: accounts of programs, of a project or of the whole hub.
import { useState } from "preact/hooks";
import type { Permission, Project, Robot } from "../gen/api";
import { call } from "../lib/api";
import { known } from "../lib/format";
import { useGet, useList } from "../lib/load";
import { Button, Empty, Note, Page, State, Time, Trouble, type Crumb } from "../parts/basic";
import { Code, host, quoted, ShowCommand } from "../parts/command";
import { Choice, Dialog, FormDialog, Picks, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { t } from "../text";

export function ProjectRobots({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{(p) => <Robots project={p} crumbs={[{ text: name, href: projectHref(name) }]} />}</OfProject>;
}

export function HubRobots() {
  return <Robots />;
}

interface Secret {
  name: string;
  secret: string;
}

function Robots({ project: p, crumbs }: { project?: Project; crumbs?: Crumb[] }) {
  const level = p ? `Level=project,ProjectID=${p.project_id}` : "Level=system";
  const list = useList("GET /robots", { query: { q: level } }, { filter: (text) => ({ q: level + ",name=~" + text }) });
  const [making, make] = useState(false);
  const [secret, tell] = useState<Secret>();
  const [again, renew] = useState<Robot>();
  const [removing, remove] = useState<Robot>();
  const flip = async (r: Robot) => {
    await call("PUT /robots/{robot}", { path: { robot: r.id }, body: { name: r.name, description: r.description, level: r.level, duration: r.duration,
      disable: !r.disable, permissions: r.permissions } });
    list.again();
  };
  const columns: Column<Robot>[] = [
    { title: t.robots.name, head: true, cell: (r) => <>{r.name}{r.description && <span class="under soft small">{r.description}</span>}</> },
    { title: t.robots.state, cell: (r) => <RobotState robot={r} /> },
    { title: t.robots.may, fill: true, cell: (r) => <span class="states">{said(r).map((x) => <span key={x} class="tag mono">{x}</span>)}</span> },
    { title: t.robots.expires, cell: (r) => (r.expires_at < 0 ? t.robots.never : <Time at={new Date(r.expires_at * 1000).toISOString()} />) },
    { title: t.robots.used, cell: (r) => (known(r.last_used) ? <Time at={r.last_used} /> : t.times.never) },
    {
      title: t.table.actions, act: true, cell: (r) => (
        <span class="acts">
          <Button small label={t.robots.renewOf(r.name)} onClick={() => renew(r)}>{t.robots.renew}</Button>
          <Button small label={(r.disable ? t.robots.enable : t.robots.disable) + ": " + r.name} onClick={() => void flip(r)}>{r.disable ? t.robots.enable : t.robots.disable}</Button>
          <Button small kind="risk" label={t.robots.removeAsk(r.name)} onClick={() => remove(r)}>{t.form.remove}</Button>
        </span>
      ),
    },
  ];
  const where = p ? " --project " + quoted(p.name) : "";
  const plus = <Button kind="main" icon="plus" onClick={() => make(true)}>{t.robots.make}</Button>;
  return (
    <Page title={p ? t.project.robots : t.admin.robots.title} intro={t.robots.intro} crumbs={crumbs}
      acts={<><ShowCommand lines={[`vic hub robot ls${where}`, `vic hub robot create${where} --permission repository:pull NAME`]} />{plus}</>}>
      <div class="bar-row"><Find label={t.projects.find} value={list.find} /></div>
      <Table list={list} columns={columns} of={(r) => r.id} label={t.project.robots} empty={<Empty icon="bot" title={t.robots.empty} acts={plus}>{t.robots.emptyText}</Empty>} />
      {making && <Make project={p} close={() => make(false)} done={(s) => {
        tell(s);
        list.again();
      }} />}
      {secret && <Shown {...secret} close={() => tell(undefined)} />}
      {again && (
        <FormDialog title={t.robots.renewOf(again.name)} close={() => renew(undefined)} submit={t.robots.renew} run={async () => {
          const { value } = await call("PATCH /robots/{robot}", { path: { robot: again.id }, body: {} });
          tell({ name: again.name, secret: value.secret });
        }}><p>{t.robots.renewText}</p></FormDialog>
      )}
      {removing && (
        <FormDialog title={t.robots.removeAsk(removing.name)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /robots/{robot}", { path: { robot: removing.id } });
          list.again();
        }}><p>{t.robots.removeText}</p></FormDialog>
      )}
    </Page>
  );
}

function said(r: Robot): string[] {
  const all = r.permissions.flatMap((p) => p.access.map((x) => (r.level === "project" ? "" : p.namespace + " ") + `${x.resource}:${x.action}`));
  const most = 6;
  return all.length > most ? [...all.slice(0, most), t.robots.more(all.length - most)] : all;
}

function RobotState({ robot: r }: { robot: Robot }) {
  if (r.disable) return <State kind="stop">{t.robots.disabled}</State>;
  const left = r.expires_at < 0 ? Infinity : r.expires_at * 1000 - Date.now(), week = 7 * 24 * 3600_000;
  if (left < 0) return <State kind="ill">{t.robots.expired}</State>;
  return left < week ? <State kind="warn">{t.robots.soon}</State> : <State kind="done">{t.robots.active}</State>;
}

function Shown({ name, secret, close }: Secret & { close: () => void }) {
  return (
    <Dialog title={name} close={close} footer={<Button kind="main" onClick={close}>{t.robots.kept}</Button>}>
      <div>
        <Note kind="warn" title={t.robots.once} />
        <Code label={t.robots.secret} lines={[secret]} />
        <Code label={t.home.stepLogin} lines={[`docker login -u '${name}' ${host()}`]} />
      </div>
    </Dialog>
  );
}

const key = (p: Permission) => `${p.resource}:${p.action}`;

function Make({ project: p, close, done }: { project?: Project; close: () => void; done: (s: Secret) => void }) {
  const all = useGet("GET /permissions");
  const form = useForm({ name: "", description: "", days: "30", namespace: "*", may: ["repository:pull"] as string[], system: [] as string[] });
  const v = form.values;
  const access = (chosen: string[]) => chosen.map((x) => ({ resource: x.split(":")[0], action: x.split(":")[1] }));
  const run = async () => {
    const permissions = [
      ...(v.may.length > 0 ? [{ kind: "project", namespace: p?.name ?? v.namespace.trim(), access: access(v.may) }] : []),
      ...(v.system.length > 0 ? [{ kind: "system", namespace: "/", access: access(v.system) }] : []),
    ];
    const { value } = await call("POST /robots", {
      body: { name: v.name.trim(), description: v.description, duration: Number(v.days), level: p ? "project" : "system", permissions },
    });
    done(value);
  };
  // Harbor's pairs are many; those of the hub's own table are what people mean.
  const own = (list: Permission[]) => list.filter((x) => t.robots.pairs[key(x)]).map((x): [string, string] => [key(x), t.robots.pairs[key(x)]]);
  return (
    <FormDialog title={t.robots.make} close={close} submit={t.robots.make} run={run} wide>
      <div class="two">
        <Text form={form} name="name" label={t.robots.name} required focus hint={t.robots.nameHint(p?.name)} />
        <Choice form={form} name="days" label={t.robots.life} options={[["7", t.robots.days(7)], ["30", t.robots.days(30)], ["90", t.robots.days(90)], ["365", t.robots.days(365)],
          ["-1", t.robots.never]]} />
      </div>
      <Text form={form} name="description" label={t.labels.description} optional />
      {!p && <Text form={form} name="namespace" label={t.robots.namespace} hint={t.robots.namespaceHint} required />}
      {all.error && <Trouble error={all.error} />}
      {all.value && <Picks form={form} name="may" label={p ? t.robots.inProject(p.name) : t.robots.inProjects} options={own(all.value.project)} />}
      {all.value && !p && <Picks form={form} name="system" label={t.robots.inHub} options={own(all.value.system)} />}
    </FormDialog>
  );
}
