// One container: what it does now, its log, a shell in it, its processes, and all that Docker tells of it.
import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Container, Project } from "../gen/api";
import { call } from "../lib/api";
import { bytes } from "../lib/format";
import { allContainers, stream, useLive, vchOf } from "../lib/live";
import { useGet } from "../lib/load";
import { go } from "../lib/router";
import { may } from "../lib/session";
import { Bones, Button, Empty, Icon, KV, More, Note, Page, Section, Tabs, Time, Trouble } from "../parts/basic";
import { Code, quoted, ShowCommand } from "../parts/command";
import { ContainerState, iso } from "../parts/container-state";
import { FormDialog, Text, useDoing, useForm } from "../parts/form";
import { projectHref } from "../shell/nav";
import { actIcons, type Act, doOne, fits } from "./container-acts";
import { Charts } from "./container-charts";
import { LogPane } from "./container-log";
import { ShellPane } from "./container-shell";
import { containerHref } from "./containers";
import { OfProject } from "./project-page";
import { toast } from "../parts/toast";
import { t } from "../text";

export function ContainerPage({ project: name, vch, id, tab = "" }: Record<string, string>) {
  useLive();
  return <OfProject name={name}>{(p) => <Found key={vch + "/" + id} project={p} vch={Number(vch)} id={id} tab={tab} />}</OfProject>;
}

function Found({ project: p, vch, id, tab }: { project: Project; vch: number; id: string; tab: string }) {
  const c = allContainers.value.find((x) => x.vch === vch && x.id.startsWith(id)), host = vchOf(vch);
  const crumbs = [{ text: p.name, href: projectHref(p.name) }, { text: t.live.containers, href: projectHref(p.name, "/containers") }, { text: host?.name ?? String(vch) }];
  if (stream.value === "waiting" && !c) return <div class="body"><Bones lines={5} /></div>;
  if (!c || !host) {
    return (
      <Page title={id} crumbs={crumbs}>
        <Empty icon="container" title={t.container.gone} acts={<Button href={projectHref(p.name, "/containers")}>{t.container.back}</Button>}>{t.container.goneText}</Empty>
      </Page>
    );
  }
  const stale = !host.up || stream.value === "lost";
  const tabs = (["overview", "log", "shell", "processes", "inspect"] as const).filter((x) => x !== "shell" || may("container:operate", p));
  const here = tabs.find((x) => x === tab) ?? "overview";
  return (
    <Page title={c.name} crumbs={crumbs} intro={<span class="mono">{c.image}</span>} state={<ContainerState of={c} stale={stale} />}
      acts={<Acts project={p} c={c} stale={stale} />}
      tabs={<Tabs label={c.name} tabs={tabs.map((x) => ({ text: t.container[x], href: containerHref(p.name, c, x === "overview" ? "" : "/" + x), here: x === here }))} />}>
      {!host.up && <div class="body"><Note kind="warn" title={t.live.away}>{host.away}</Note></div>}
      {here === "overview" && <Overview project={p} c={c} />}
      {here === "log" && <div class="body fullpane"><LogPane project={p.name} c={c} tall /></div>}
      {here === "shell" && <div class="body fullpane"><ShellPane project={p.name} c={c} /></div>}
      {here === "processes" && <Processes project={p} c={c} />}
      {here === "inspect" && <Inspect project={p} c={c} />}
    </Page>
  );
}

function Acts({ project: p, c, stale }: { project: Project; c: Container; stale: boolean }) {
  const { busy, error, run } = useDoing();
  const [doing, set] = useState<Act>();
  const [asked, ask] = useState<"remove" | "rename" | "limits">();
  const name = quoted(c.name);
  const lines = [`docker inspect ${name}`, `docker logs -f ${name}`, `docker exec -it ${name} sh`, `docker restart ${name}`];
  const act = (a: Act) => {
    set(a);
    void run(() => doOne(a, p.name, c));
  };
  if (!may("container:operate", p)) return <ShowCommand lines={lines} />;
  const offered = (["start", "restart", "stop", "pause", "unpause", "kill"] as Act[]).filter((a) => fits(a, c));
  return (
    <>
      <ShowCommand lines={lines} />
      {!stale && offered.slice(0, 2).map((a) => <Button key={a} icon={actIcons[a]} busy={busy && doing === a} onClick={() => act(a)}>{t.live.acts[a]}</Button>)}
      {!stale && (
        <More label={t.container.more}>
          {offered.slice(2).map((a) => <button key={a} type="button" onClick={() => act(a)}><Icon name={actIcons[a]} />{t.live.acts[a]}</button>)}
          <button type="button" onClick={() => ask("rename")}><Icon name="pencil" />{t.container.rename}</button>
          <button type="button" onClick={() => ask("limits")}><Icon name="gauge" />{t.container.changeLimits}</button>
          <button type="button" class="risk" onClick={() => ask("remove")}><Icon name="trash-2" />{t.live.acts.remove}</button>
        </More>
      )}
      {error && <p class="err" role="alert">{error.message}</p>}
      {asked === "remove" && (
        <FormDialog title={t.live.removeAsk(1, c.name)} close={() => ask(undefined)} risk keep={t.live.keep} submit={t.live.removeDo(1)} run={async () => {
          await doOne("remove", p.name, c);
          go(projectHref(p.name, "/containers"));
        }}><p>{t.live.removeText}</p></FormDialog>
      )}
      {asked === "rename" && <Rename project={p.name} c={c} close={() => ask(undefined)} />}
      {asked === "limits" && <Limits project={p.name} c={c} close={() => ask(undefined)} />}
    </>
  );
}

function Rename({ project, c, close }: { project: string; c: Container; close: () => void }) {
  const form = useForm({ name: c.name });
  return (
    <FormDialog title={t.container.rename} close={close} submit={t.container.rename} run={() => call("POST /projects/{project}/vchs/{vch}/containers/{name}/rename",
      { path: { project, vch: c.vch, name: c.id }, query: { new_name: form.values.name.trim() } })}>
      <Text form={form} name="name" label={t.container.newName} required focus />
    </FormDialog>
  );
}

function Limits({ project, c, close }: { project: string; c: Container; close: () => void }) {
  const form = useForm({ memory: "", cpus: "" });
  return (
    <FormDialog title={t.container.changeLimits} close={close} submit={t.form.save} run={async () => {
      const body: Record<string, number> = {};
      if (form.values.memory) body.Memory = Math.round(Number(form.values.memory) * 1048576);
      if (form.values.cpus) body.NanoCpus = Math.round(Number(form.values.cpus) * 1e9);
      await call("POST /projects/{project}/vchs/{vch}/containers/{name}/update", { path: { project, vch: c.vch, name: c.id }, body });
      toast(t.form.saved);
    }}>
      <Text form={form} name="memory" label={t.container.memoryLimit} optional focus />
      <Text form={form} name="cpus" label={t.container.cpuLimit} optional />
    </FormDialog>
  );
}

// Docker is what is read of Docker's answer to inspect.
interface Docker {
  Config?: { Env?: string[]; Cmd?: string[]; Entrypoint?: string[]; User?: string; WorkingDir?: string };
  HostConfig?: { Memory?: number; NanoCpus?: number; RestartPolicy?: { Name?: string; MaximumRetryCount?: number } };
  State?: { StartedAt?: string; Health?: { Status?: string; FailingStreak?: number; Log?: { Output?: string; ExitCode?: number }[] } };
  RestartCount?: number;
  Mounts?: { Type?: string; Name?: string; Source?: string; Destination?: string; RW?: boolean }[];
  NetworkSettings?: { Networks?: Record<string, { IPAddress?: string; GlobalIPv6Address?: string; Gateway?: string; MacAddress?: string }> };
}

function useInspect(p: Project, c: Container) {
  // State is a part of the key: what Docker tells is another then.
  const got = useGet("GET /projects/{project}/vchs/{vch}/containers/{name}", { path: { project: p.name, vch: c.vch, name: c.id } });
  useEffect(() => got.again(), [c.state, c.health]);
  return { ...got, docker: got.value as Docker | undefined };
}

function Overview({ project: p, c }: { project: Project; c: Container }) {
  const { docker, error, again } = useInspect(p, c);
  const memory = docker?.HostConfig?.Memory || undefined, cpus = docker?.HostConfig?.NanoCpus ? docker.HostConfig.NanoCpus / 1e9 : undefined;
  const bad = docker?.State?.Health?.Status === "unhealthy" ? docker.State.Health.Log?.at(-1)?.Output?.trim() : undefined;
  const policy = docker?.HostConfig?.RestartPolicy;
  return (
    <div class="body">
      {bad && <Note kind="bad" title={t.live.unhealthy}>{bad.slice(0, 500)}</Note>}
      {error && <Trouble error={error} again={again} />}
      <div class="cols">
        <div class="stack">
          <Charts project={p.name} c={c} memory={memory} cpus={cpus} />
          <LogPane project={p.name} c={c} />
        </div>
        <div class="stack">
          <Facts title={t.container.facts}><KV of={[
            [t.container.id, <code>{c.id.slice(0, 12)}</code>], [t.container.vch, vchOf(c.vch)?.name ?? String(c.vch)],
            [t.live.application, c.application && c.application + (c.service ? " / " + c.service : "")],
            [t.container.created, <Time at={iso(c.created)} />], [t.container.restarts, docker?.RestartCount],
            [t.container.policy, policy?.Name && policy.Name !== "no" ? policy.Name + (policy.MaximumRetryCount ? " ≤ " + policy.MaximumRetryCount : "") : t.provision.restarts[""]],
            [t.container.command, <code>{[...(docker?.Config?.Entrypoint ?? []), ...(docker?.Config?.Cmd ?? [])].map(quoted).join(" ") || c.command}</code>],
            [t.container.limits, docker && t.provision.size2(memory ? bytes(memory) : "–", cpus ?? 1)],
          ]} /></Facts>
          <Facts title={t.container.networks}><KV of={Object.entries(docker?.NetworkSettings?.Networks ?? {}).map(([name, n]) => [name,
            <span class="mono">{[n.IPAddress, n.GlobalIPv6Address].filter(Boolean).join(" ") || "–"}</span>])} />
            <KV of={(c.ports ?? []).filter((x) => x.public).map((x) => [`${x.private}/${x.type}`, <span class="mono">{x.address || "*"}:{x.public}</span>])} /></Facts>
          {(docker?.Mounts?.length ?? 0) > 0 && <Facts title={t.container.mounts}><KV of={docker!.Mounts!.map((m) => [m.Name?.slice(0, 24) ?? m.Source ?? "",
            <span class="mono">{m.Destination}{m.RW === false && <span class="soft"> {t.container.readOnly}</span>}</span>])} /></Facts>}
          {(docker?.Config?.Env?.length ?? 0) > 0 && (
            <details class="panel facts"><summary>{t.container.environment} <span class="soft">{docker!.Config!.Env!.length}</span></summary>
              <KV of={docker!.Config!.Env!.map((e) => [e.split("=")[0], <code>{e.slice(e.indexOf("=") + 1)}</code>])} /></details>
          )}
        </div>
      </div>
    </div>
  );
}

function Facts({ title, children }: { title: string; children: ComponentChildren }) {
  return <section class="panel facts"><h2>{title}</h2>{children}</section>;
}

function Processes({ project: p, c }: { project: Project; c: Container }) {
  const got = useGet(c.state === "running" ? "GET /projects/{project}/vchs/{vch}/containers/{name}/top" : undefined,
    { path: { project: p.name, vch: c.vch, name: c.id } });
  const top = got.value as { Titles?: string[]; Processes?: string[][] } | undefined;
  if (c.state !== "running") return <p class="nothing">{t.container.noProcesses}</p>;
  if (got.error) return <div class="body"><Trouble error={got.error} again={got.again} /></div>;
  if (!top) return <div class="body"><Bones /></div>;
  return (
    <div class="body">
      <Section title={t.container.processes} about={top.Processes?.length ?? 0} link={<Button small icon="refresh-cw" onClick={got.again}>{t.errors.again}</Button>}>
        <div class="panel"><div class="wide"><table class="grid" aria-label={t.container.processes}>
          <thead><tr>{(top.Titles ?? []).map((x) => <th scope="col" key={x}>{x}</th>)}</tr></thead>
          <tbody>{(top.Processes ?? []).map((row) => <tr key={row.join(" ")}>{row.map((x, i) => <td class="mono" key={i}>{x}</td>)}</tr>)}</tbody>
        </table></div></div>
      </Section>
    </div>
  );
}

function Inspect({ project: p, c }: { project: Project; c: Container }) {
  const { value, error, again } = useInspect(p, c);
  return (
    <div class="body">
      {error && <Trouble error={error} again={again} />}
      {value === undefined ? <Bones lines={8} /> : <Code lines={JSON.stringify(value, null, 2).split("\n")} label={t.container.inspect} />}
    </div>
  );
}
