// The form that runs a container, with the plan beside it: where it would be, what it needs, and whether somebody has to approve.
import { useEffect, useState } from "preact/hooks";
import type { Project, ProvisionPlan } from "../gen/api";
import { call, Failure } from "../lib/api";
import { command, config, Mistake, nothingWanted, type Wanted } from "../lib/docker";
import { allVCHs, useLive } from "../lib/live";
import { asFailure } from "../lib/load";
import { go, where } from "../lib/router";
import { Button, Note, Page, State, Trouble } from "../parts/basic";
import { host, ShowCommand } from "../parts/command";
import { Choice, Text, useDoing, useForm } from "../parts/form";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { t } from "../text";

export function RunContainer({ project: name }: Record<string, string>) {
  useLive();
  return <OfProject name={name}>{(p) => <Run project={p} />}</OfProject>;
}

interface Place {
  vch: string;
  strategy: string;
}

function Run({ project: p }: { project: Project }) {
  const form = useForm<Wanted>({ ...nothingWanted, image: where.value.query.get("image") ?? "" });
  const place = useForm<Place>({ vch: "", strategy: "spread" });
  const { busy, error, run } = useDoing();
  const [mistake, setMistake] = useState<Mistake>();
  const w = form.values;
  const body = () => ({ name: w.name.trim(), config: config(w), vch: Number(place.values.vch) || 0, strategy: place.values.strategy });
  const plan = usePlan(p.name, w.image.trim() ? JSON.stringify([w, place.values]) : undefined, body);
  const submit = async (e: Event) => {
    e.preventDefault();
    setMistake(undefined);
    try {
      config(w);
    } catch (m) {
      setMistake(m as Mistake);
      return;
    }
    await run(async () => {
      const { value } = await call("POST /projects/{project}/provisions", { path: { project: p.name }, body: body() });
      go(projectHref(p.name, "/requests/" + value.id));
    });
  };
  const wrong = (field: keyof Wanted) => (mistake?.field === field ? mistake.message : undefined);
  const vchs = allVCHs.value.filter((v) => v.projects.includes(p.name));
  const crumbs = [{ text: p.name, href: projectHref(p.name) }, { text: t.live.containers, href: projectHref(p.name, "/containers") }];
  return (
    <Page title={t.provision.title} intro={t.provision.intro} crumbs={crumbs} acts={<ShowCommand lines={command(w)} />}>
      <div class="body"><div class="cols">
        <form class="form" noValidate onSubmit={submit}>
          <fieldset><legend>{t.provision.basics}</legend>
            <Text form={form} name="image" label={t.provision.image} hint={t.provision.imageHint(host())} required mono focus />
            <div class="two"><Text form={form} name="name" label={t.provision.name} hint={t.provision.nameHint} optional />
              <Text form={form} name="command" label={t.provision.command} hint={t.provision.commandHint} optional mono /></div>
          </fieldset>
          <fieldset><legend>{t.provision.size}</legend>
            <div class="two"><Text form={form} name="memory" label={t.provision.memory} error={wrong("memory")} optional /><Text form={form} name="cpus" label={t.provision.cpus} error={wrong("cpus")} optional /></div>
            <p class="hint">{t.provision.sizeHint}</p>
          </fieldset>
          <fieldset><legend>{t.provision.network}</legend>
            <div class="two"><Text form={form} name="ports" label={t.provision.ports} hint={t.provision.portsHint} rows={2} mono error={wrong("ports")} optional />
              <Text form={form} name="network" label={t.provision.networkName} hint={t.provision.networkHint} optional /></div>
          </fieldset>
          <fieldset><legend>{t.provision.storage}</legend>
            <Text form={form} name="volumes" label={t.provision.volumes} hint={t.provision.volumesHint} rows={2} mono error={wrong("volumes")} optional /></fieldset>
          <fieldset><legend>{t.provision.environment}</legend>
            <Text form={form} name="env" label={t.provision.env} hint={t.provision.envHint} rows={3} mono error={wrong("env")} optional /></fieldset>
          <fieldset><legend>{t.provision.running}</legend>
            <Choice form={form} name="restart" label={t.provision.restart} options={Object.entries(t.provision.restarts)} /></fieldset>
          <fieldset><legend>{t.provision.place}</legend>
            <div class="two">
              <Choice form={place} name="vch" label={t.provision.vch} options={[["", t.provision.anyVCH], ...vchs.map((v): [string, string] => [String(v.id), v.name])]} />
              <Choice form={place} name="strategy" label={t.provision.strategy} options={Object.entries(t.provision.strategies)} /></div>
          </fieldset>
          {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
          <div class="acts"><Button type="submit" kind="main" icon={plan.value?.approval ? "send" : "play"} busy={busy}>{plan.value?.approval ? t.provision.ask : t.provision.go}</Button></div>
        </form>
        <aside class="stack"><PlanView plan={plan.value} error={plan.error} /></aside>
      </div></div>
    </Page>
  );
}

// usePlan asks what would happen when the typing pauses.
function usePlan(project: string, of: string | undefined, body: () => object) {
  const [state, set] = useState<{ value?: ProvisionPlan; error?: Failure }>({});
  useEffect(() => {
    if (of === undefined) {
      set({});
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const { value } = await call("POST /projects/{project}/provisions/plan", { path: { project }, body: body(), signal: abort.signal });
        set({ value });
      } catch (e) {
        if (!abort.signal.aborted && !(e instanceof Mistake)) set({ error: asFailure(e) });
      }
    }, 400);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [of, project]);
  return state;
}

export function PlanView({ plan, error }: { plan?: Pick<ProvisionPlan, "plan"> & Partial<ProvisionPlan>; error?: Failure }) {
  return (
    <section class="panel facts" aria-live="polite"><h2>{t.provision.plan}</h2>
      {error && <Trouble error={error} />}
      {!plan && !error && <p class="soft">{t.provision.planHint}</p>}
      {plan?.approval && <Note kind="wait" title={t.provision.needs(plan.approval)} />}
      {plan?.over && <Note kind="warn" title={t.provision.over(plan.over)} />}
      {plan && (
        <ul class="list">{plan.plan.choices.map((c) => (
          <li key={c.vch}><span class="state-only">{c.vch === plan.plan.chosen ? <State kind="done">{t.provision.chosen}</State> : c.fits ? <State kind="run" icon="check">{t.provision.fits}</State>
            : <State kind="stop" icon="ban">{t.provision.not}</State>}</span><div><b>{c.name}</b><p>{c.why}</p></div></li>
        ))}</ul>
      )}
    </section>
  );
}
