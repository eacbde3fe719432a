// The audit log, of a project or of the whole hub.
import type { Line } from "../gen/api";
import { address } from "../lib/api";
import { useList } from "../lib/load";
import { setQuery, where } from "../lib/router";
import { Button, Empty, Page, State, Time, type Crumb } from "../parts/basic";
import { quoted, ShowCommand } from "../parts/command";
import { Find, Table, type Column } from "../parts/table";
import { projectHref } from "../shell/nav";
import { LogResource } from "./project";
import { OfProject } from "./project-page";
import { t } from "../text";

export function ProjectLog({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{() => <Log project={name} title={t.log.title} crumbs={[{ text: name, href: projectHref(name) }]} />}</OfProject>;
}

export function AuditLog() {
  return <Log title={t.admin.audit.title} />;
}

function columns(project?: string): Column<Line>[] {
  return [
    { title: t.log.time, cell: (l) => <Time at={l.op_time} /> },
    { title: t.log.user, head: true, cell: (l) => <span class="nowrap">{l.username || t.shell.stranger}</span> },
    { title: t.log.operation, cell: (l) => `${l.operation} ${l.resource_type}` },
    { title: t.log.what, fill: true, cell: (l) => <><LogResource name={project} type={l.resource_type} resource={l.resource} />{l.detail && <span class="soft"> {l.detail}</span>}</> },
    { title: t.log.from, less: true, cell: (l) => <span title={l.agent}>{l.address}</span> },
    { title: t.log.result, cell: (l) => (l.operation_result ? <State kind="done">{t.log.done}</State> : <State kind="ill">{t.log.refused(l.outcome)}</State>) },
  ];
}

function Log({ project, title, crumbs }: { project?: string; title: string; crumbs?: Crumb[] }) {
  const q = where.value.query, operation = q.get("operation") ?? "", find = q.get("find") ?? "", from = q.get("from") ?? "", to = q.get("to") ?? "";
  const parts = [find && "username=~" + find, operation && "operation=" + operation, (from || to) && `op_time=[${from}~${to && to + " 23:59:59"}]`].filter(Boolean).join(",");
  const query = { q: parts };
  const list = project
    ? useList("GET /projects/{project}/logs", { path: { project }, query })
    : useList("GET /audit-logs", { query });
  const file = (format: string) => (project
    ? address("GET /projects/{project}/logs/export/{format}", { path: { project, format }, query })
    : address("GET /audit-logs/export/{format}", { path: { format }, query }));
  const command = "vic hub audit export --format csv" + (project ? " --project " + quoted(project) : "");
  return (
    <Page title={title} intro={t.log.intro} crumbs={crumbs} acts={<>
      <ShowCommand lines={[command]} />
      <Button icon="download" leaves download href={file("csv")}>{t.log.csv}</Button>
      <Button icon="download" leaves download href={file("jsonl")}>{t.log.jsonl}</Button>
    </>}>
      <div class="bar-row">
        <Find label={t.log.find} value={find} />
        <select class="in narrow" aria-label={t.log.operation} value={operation} onChange={(e) => setQuery({ operation: e.currentTarget.value, page: undefined })}>
          <option value="">{t.log.any}</option>
          {t.log.operations.map((o) => <option key={o} value={o}>{o}</option>)}
        </select>
        <label class="date">{t.log.since} <input class="in" type="date" value={from} onChange={(e) => setQuery({ from: e.currentTarget.value, page: undefined })} /></label>
        <label class="date">{t.log.until} <input class="in" type="date" value={to} onChange={(e) => setQuery({ to: e.currentTarget.value, page: undefined })} /></label>
      </div>
      <Table list={list} columns={columns(project)} of={(l) => l.id} label={title} empty={<Empty icon="scroll-text" title={t.log.empty} />} />
    </Page>
  );
}
