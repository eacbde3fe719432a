// Which tags stay, and which go: immutability and retention.
import { useState } from "preact/hooks";
import type { Immutable, Project, RetentionRule, RetentionRun, Selector } from "../gen/api";
import { call } from "../lib/api";
import { seconds } from "../lib/format";
import { useGet, useList, useLoad } from "../lib/load";
import { may } from "../lib/session";
import { Bones, Button, Empty, Icon, Page, Section, State, Time, Trouble } from "../parts/basic";
import { Check, Choice, Dialog, FormDialog, Text, useForm } from "../parts/form";
import { Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { stateKind } from "../shell/tasks";
import { cronText, crons } from "./schedule";
import { OfProject } from "./project-page";
import { t } from "../text";

export function Policies({ project: name }: Record<string, string>) {
  return (
    <OfProject name={name}>{(p, again) => (
      <Page title={t.project.policies} intro={t.policies.intro} crumbs={[{ text: name, href: projectHref(name) }]}>
        <div class="body">
          <ImmutableRules project={p} can={may("project:update", p)} />
          {may("project:update", p) && <Retention project={p} again={again} />}
        </div>
      </Page>
    )}</OfProject>
  );
}

interface Scoped {
  tag_selectors: Selector[];
  scope_selectors: Record<string, unknown>;
}

const excludes = (s?: Selector) => !!s && /xcludes$/i.test(s.decoration);

function scope(r: Scoped): string {
  const repo = (r.scope_selectors.repository as Selector[] | undefined)?.[0], tag = r.tag_selectors[0];
  const part = (s: Selector | undefined, all: string, yes: (p: string) => string, no: (p: string) => string) =>
    (!s || (s.pattern === "**" && !excludes(s)) ? all : excludes(s) ? no(s.pattern) : yes(s.pattern));
  return part(tag, t.policies.allTags, t.policies.tags, t.policies.notTags) + " " + part(repo, t.policies.allRepos, t.policies.repos, t.policies.notRepos);
}

function selectors(v: { tags: string; tagsNot: boolean; repos: string; reposNot: boolean }, untagged?: boolean) {
  return {
    tag_selectors: [{ kind: "doublestar", decoration: v.tagsNot ? "excludes" : "matches", pattern: v.tags.trim(),
      ...(untagged === undefined ? {} : { extras: JSON.stringify({ untagged }) }) }],
    scope_selectors: { repository: [{ kind: "doublestar", decoration: v.reposNot ? "repoExcludes" : "repoMatches", pattern: v.repos.trim() }] },
  };
}

const anywhere = { tags: "**", tagsNot: false, repos: "**", reposNot: false };

type ScopeForm = typeof anywhere;

// Where asks for the repositories and tags of a rule.
function Where<T extends ScopeForm>({ form }: { form: { values: T; set: (change: Partial<T>) => void } }) {
  const f = form as unknown as { values: ScopeForm; set: (change: Partial<ScopeForm>) => void };
  return (
    <div class="two">
      <div class="form"><Text form={f} name="repos" label={t.policies.reposLabel} hint={t.policies.patternHint} mono required /><Check form={f} name="reposNot" label={t.policies.but} /></div>
      <div class="form"><Text form={f} name="tags" label={t.policies.tagsLabel} hint={t.policies.patternHint} mono required /><Check form={f} name="tagsNot" label={t.policies.but} /></div>
    </div>
  );
}

function ImmutableRules({ project: p, can }: { project: Project; can: boolean }) {
  const list = useList("GET /projects/{project}/immutabletagrules", { path: { project: p.name } }, { name: "i" });
  const [making, make] = useState(false);
  const [removing, remove] = useState<Immutable>();
  const flip = async (r: Immutable) => {
    await call("PUT /projects/{project}/immutabletagrules/{rule}", { path: { project: p.name, rule: r.id }, body: { id: r.id, disabled: !r.disabled } });
    list.again();
  };
  const columns: Column<Immutable>[] = [
    { title: t.policies.state, cell: (r) => <State kind={r.disabled ? "stop" : "done"}>{r.disabled ? t.policies.off : t.policies.on}</State> },
    { title: t.policies.keeps, head: true, cell: scope },
  ];
  if (can) {
    columns.push({
      title: t.table.actions, act: true, cell: (r) => (
        <span class="acts">
          <Button small label={(r.disabled ? t.robots.enable : t.robots.disable) + ": " + scope(r)} onClick={() => void flip(r)}>{r.disabled ? t.robots.enable : t.robots.disable}</Button>
          <Button small kind="risk" label={t.form.remove + ": " + scope(r)} onClick={() => remove(r)}>{t.form.remove}</Button>
        </span>
      ),
    });
  }
  return (
    <Section title={t.policies.immutable} about={t.policies.immutableAbout} link={can && <Button small icon="plus" onClick={() => make(true)}>{t.policies.add}</Button>}>
      <Table list={list} columns={columns} of={(r) => r.id} label={t.policies.immutable} name="i" panel
        empty={<div class="panel"><Empty icon="lock-open" title={t.policies.noImmutable}>{t.policies.noImmutableText}</Empty></div>} />
      {making && <MakeImmutable project={p} close={() => make(false)} done={list.again} />}
      {removing && (
        <FormDialog title={t.policies.removeAsk} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /projects/{project}/immutabletagrules/{rule}", { path: { project: p.name, rule: removing.id } });
          list.again();
        }}><p>{scope(removing)}</p><p>{t.policies.removeText}</p></FormDialog>
      )}
    </Section>
  );
}

function MakeImmutable({ project: p, close, done }: { project: Project; close: () => void; done: () => void }) {
  const form = useForm({ ...anywhere, tags: "v*" });
  return (
    <FormDialog title={t.policies.addImmutable} close={close} submit={t.policies.add} wide run={async () => {
      await call("POST /projects/{project}/immutabletagrules", { path: { project: p.name }, body: selectors(form.values) });
      done();
    }}><p class="soft">{t.policies.immutableText}</p><Where form={form} /></FormDialog>
  );
}

function sentence(r: RetentionRule): string {
  const n = r.params[r.template];
  return (t.policies.templates[r.template] ?? r.template).replace("#", String(n ?? ""));
}

// given is a rule as it is sent: what the API tells, without what is its own.
function given(r: RetentionRule) {
  return { disabled: r.disabled, action: r.action, template: r.template, params: r.params, tag_selectors: r.tag_selectors, scope_selectors: r.scope_selectors as Record<string, Selector[]> };
}

function Retention({ project: p, again }: { project: Project; again: () => void }) {
  const id = p.metadata.retention_id ? Number(p.metadata.retention_id) : undefined;
  const policy = useGet(id ? "GET /retentions/{retention}" : undefined, { path: { retention: id ?? 0 } });
  const [making, make] = useState(false);
  const [removing, remove] = useState<number>();
  const [timing, time] = useState(false);
  const rules = policy.value?.rules ?? [], cron = policy.value?.trigger.settings.cron ?? "";
  const save = async (list: ReturnType<typeof given>[], when = cron) => {
    const body = { algorithm: "or", scope: { level: "project", ref: p.project_id }, trigger: { kind: "Schedule", settings: { cron: when } }, rules: list };
    if (id) await call("PUT /retentions/{retention}", { path: { retention: id }, body: { id, ...body } });
    else await call("POST /retentions", { body });
    policy.again();
    again();
  };
  const run = async (dry: boolean) => {
    await call("POST /retentions/{retention}/executions", { path: { retention: id! }, body: { dry_run: dry } });
    toast(dry ? t.policies.trying : t.policies.running);
    again();
  };
  if (id && !policy.value) return policy.error ? <Trouble error={policy.error} again={policy.again} /> : <Bones />;
  return (
    <>
      <Section title={t.policies.retention} about={t.policies.retentionAbout} link={<Button small icon="plus" onClick={() => make(true)}>{t.policies.add}</Button>}>
        {rules.length === 0 ? <div class="panel"><Empty icon="recycle" title={t.policies.noRetention}>{t.policies.noRetentionText}</Empty></div> : (
          <>
            <ul class="list panel">{rules.map((r, i) => (
              <li key={r.id}><Icon name={r.disabled ? "ban" : "check"} /><div><strong>{sentence(r)}</strong><p>{scope(r)}{r.disabled && ", " + t.policies.off}</p></div>
                <div class="end acts">
                  <Button small onClick={() => void save(rules.map((x, j) => ({ ...given(x), disabled: i === j ? !x.disabled : x.disabled })))}>{r.disabled ? t.robots.enable : t.robots.disable}</Button>
                  <Button small kind="risk" onClick={() => remove(i)}>{t.form.remove}</Button></div></li>
            ))}</ul>
            <p class="run-row">
              <Button icon="play" onClick={() => void run(true)}>{t.policies.tryIt}</Button>
              <Button icon="recycle" onClick={() => void run(false)}>{t.policies.runIt}</Button>
              <Button icon="clock" onClick={() => time(true)}>{cronText(cron)}</Button>
            </p>
          </>
        )}
      </Section>
      {id && <Runs retention={id} />}
      {making && <MakeRule close={() => make(false)} add={(r) => save([...rules.map(given), r], id ? cron : "0 0 3 * * *")} />}
      {timing && <Timing cron={cron} close={() => time(false)} set={(when) => save(rules.map(given), when)} />}
      {removing !== undefined && (
        <FormDialog title={t.policies.removeAsk} close={() => remove(undefined)} risk submit={t.form.remove} run={() => save(rules.filter((_, i) => i !== removing).map(given))}>
          <p>{sentence(rules[removing])}</p><p>{t.policies.removeRetention}</p></FormDialog>
      )}
    </>
  );
}

function Timing({ cron, close, set }: { cron: string; close: () => void; set: (cron: string) => Promise<void> }) {
  const form = useForm({ cron });
  return (
    <FormDialog title={t.policies.when} close={close} submit={t.form.save} run={() => set(form.values.cron.trim())}>
      <Text form={form} name="cron" label={t.schedule.cron} hint={t.schedule.hint} mono list={crons} optional focus />
    </FormDialog>
  );
}

function MakeRule({ close, add }: { close: () => void; add: (r: ReturnType<typeof given>) => Promise<void> }) {
  const form = useForm({ ...anywhere, template: "latestPushedK", number: "10", untagged: true });
  const v = form.values;
  return (
    <FormDialog title={t.policies.addRetention} close={close} submit={t.policies.add} wide run={() => add({
      disabled: false, action: "retain", template: v.template, params: v.template === "always" ? {} : { [v.template]: Number(v.number) },
      ...selectors(v, v.untagged),
    } as ReturnType<typeof given>)}>
      <p class="soft">{t.policies.retentionText}</p>
      <div class="two">
        <Choice form={form} name="template" label={t.policies.keep} options={Object.entries(t.policies.templates)} />
        {v.template !== "always" && <Text form={form} name="number" label={t.policies.number} required />}
      </div>
      <Where form={form} />
      <Check form={form} name="untagged" label={t.policies.untagged} />
    </FormDialog>
  );
}

function Runs({ retention }: { retention: number }) {
  const list = useList("GET /retentions/{retention}/executions", { path: { retention } }, { name: "x", size: 5 });
  const [open, set] = useState<RetentionRun>();
  const columns: Column<RetentionRun>[] = [
    { title: t.tasks.state, cell: (r) => <State kind={stateKind(r.status)}>{t.tasks.status[r.status] ?? r.status}</State> },
    { title: t.tasks.task, head: true, cell: (r) => (r.dry_run ? t.policies.try : t.policies.run) },
    { title: t.tasks.started, cell: (r) => <Time at={r.start_time} /> },
    { title: t.tasks.took, cell: (r) => seconds(r.start_time, r.end_time) },
    { title: t.tasks.cause, cell: (r) => t.tasks.trigger[r.trigger.toUpperCase()] ?? r.trigger },
    { title: t.table.actions, act: true, cell: (r) => <Button small label={t.policies.resultsOf(r.id)} onClick={() => set(r)}>{t.policies.results}</Button> },
  ];
  return (
    <Section title={t.policies.runs} about={list.value && list.total}>
      <Table list={list} columns={columns} of={(r) => r.id} label={t.policies.runs} name="x" panel empty={<p class="soft">{t.policies.noRuns}</p>} />
      {open && <Results retention={retention} run={open} close={() => set(undefined)} />}
    </Section>
  );
}

function Results({ retention, run, close }: { retention: number; run: RetentionRun; close: () => void }) {
  const tasks = useLoad("run" + run.id, async (signal) => (await call("GET /retentions/{retention}/executions/{execution}/tasks",
    { path: { retention, execution: run.id }, query: { page_size: 100 }, signal })).value);
  return (
    <Dialog title={run.dry_run ? t.policies.wouldGo : t.policies.went} close={close} wide>
      <div>
        {tasks.error && <Trouble error={tasks.error} />}
        {tasks.value?.length === 0 && <p class="soft">{t.policies.nothingDone}</p>}
        {tasks.value && tasks.value.length > 0 && (
          <table class="grid" aria-label={t.policies.results}>
            <thead><tr><th scope="col">{t.repositories.name}</th><th scope="col" class="num">{t.policies.kept}</th><th scope="col" class="num">{t.policies.gone}</th></tr></thead>
            <tbody>{tasks.value.map((x) => (
              <tr key={x.id}><th scope="row">{x.repository}</th><td class="num">{x.retained}</td><td class="num">{x.total - x.retained}</td></tr>
            ))}</tbody>
          </table>
        )}
      </div>
    </Dialog>
  );
}
