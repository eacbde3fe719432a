// What scans have found in an artifact, and who signed it.
import { useEffect } from "preact/hooks";
import type { HarborOverview } from "../gen/api";
import { call } from "../lib/api";
import { useGet } from "../lib/load";
import { where } from "../lib/router";
import { may } from "../lib/session";
import { Bones, Button, Empty, Note, Section, State, Time, Trouble } from "../parts/basic";
import { useDoing } from "../parts/form";
import { Find } from "../parts/table";
import type { Of } from "./artifact";
import { useAddition } from "./artifact-tabs";
import { t } from "../text";

interface Finding {
  id: string;
  package: string;
  version: string;
  fix_version?: string;
  severity: string;
  description?: string;
  links?: string[];
}

interface Report {
  generated_at: string;
  severity: string;
  vulnerabilities: Finding[] | null;
}

const severities = ["Critical", "High", "Medium", "Low", "Negligible", "Unknown"];
const marks: Record<string, string> = { Critical: "c", High: "h", Medium: "m", Low: "l" };
const underWay = ["Pending", "Scheduled", "Queued", "Running"];

// overview is the head of the last report.
function overview(o: Of): HarborOverview | undefined {
  return Object.values(o.artifact.scan_overview ?? {})[0];
}

// looking is how long the page waits before it asks again how far a scan is.
const looking = 3000;

export function Findings(o: Of) {
  const head = overview(o), status = head?.scan_status ?? "", busy = underWay.includes(status);
  const { busy: asking, error, run } = useDoing();
  useEffect(() => {
    if (!busy) return;
    const timer = setInterval(o.again, looking);
    return () => clearInterval(timer);
  }, [busy]);
  const scan = may("scan:create", o.project) && (
    <Button kind={head ? undefined : "main"} icon="scan-search" busy={asking} why={busy ? t.findings.running : undefined} onClick={() => void run(async () => {
      await call("POST /projects/{project}/repositories/{repository}/artifacts/{reference}/scan",
        { path: { project: o.project.name, repository: o.repository, reference: o.artifact.digest } });
      o.again();
    })}>{head ? t.findings.again : t.findings.scan}</Button>
  );
  return (
    <div class="stack">
      {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
      {!head && <div class="panel"><Empty icon="scan-search" title={t.findings.none} acts={scan}>{scan ? t.findings.noneText : t.findings.noneOther}</Empty></div>}
      {head && busy && <Note title={t.findings.running} acts={scan}><State kind="busy">{head.complete_percent} %</State></Note>}
      {head && status === "Error" && <Note kind="bad" title={t.findings.failed} acts={scan}>{head.scan_message}</Note>}
      {head && status === "Stopped" && <Note kind="warn" title={t.findings.stopped} acts={scan} />}
      {head && status === "Success" && <><Rows {...o} /><p class="acts">{scan}</p></>}
    </div>
  );
}

const most = 500;

function Rows(o: Of) {
  const report = useAddition(o, "vulnerabilities");
  const find = where.value.query.get("find") ?? "";
  if (report.error) return <Trouble error={report.error} again={report.again} />;
  if (!report.value) return <Bones lines={6} />;
  const r = Object.values(report.value as Record<string, Report>)[0];
  const all = [...(r?.vulnerabilities ?? [])].sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
  const shown = all.filter((f) => (f.id + f.package + f.severity).toLowerCase().includes(find.toLowerCase()));
  if (all.length === 0) return <div class="panel"><Empty icon="shield-check" title={t.findings.clean}>{t.findings.cleanText}</Empty></div>;
  return (
    <Section title={t.findings.title} about={<>{t.findings.count(shown.length, all.length)}, <Time at={r.generated_at} /></>}>
      <div class="tools"><Find label={t.findings.find} value={find} /></div>
      <div class="panel"><table class="grid cards" aria-label={t.findings.title}>
        <thead><tr>{[t.findings.severity, t.findings.finding, t.artifact.package, t.findings.installed, t.findings.fixed].map((h) => <th key={h} scope="col">{h}</th>)}</tr></thead>
        <tbody>{shown.slice(0, most).map((f, i) => (
          <tr key={i}>
            <td><span class={"sev " + (marks[f.severity] ?? "x")}>{f.severity}</span></td>
            <th scope="row" title={f.description}>{f.links?.[0]?.startsWith("https://") ? <a href={f.links[0]} target="_blank" rel="noreferrer">{f.id}</a> : f.id}</th>
            <td data-l={t.artifact.package}>{f.package}</td><td data-l={t.findings.installed} class="mono">{f.version}</td>
            <td data-l={t.findings.fixed} class="mono">{f.fix_version || t.findings.noFix}</td>
          </tr>
        ))}</tbody>
      </table></div>
    </Section>
  );
}

// Signatures are verified by the hub with the keys of the project.
export function Signatures(o: Of) {
  const list = useGet("GET /projects/{project}/repositories/{repository}/artifacts/{reference}/signatures",
    { path: { project: o.project.name, repository: o.repository, reference: o.artifact.digest } });
  if (list.error) return <Trouble error={list.error} again={list.again} />;
  if (!list.value) return <Bones />;
  if (list.value.length === 0) return <Note kind="warn" title={t.findings.unread}>{t.findings.unreadText}</Note>;
  return (
    <Section title={t.findings.signatures} about={t.findings.signaturesAbout}>
      <ul class="list panel">{list.value.map((s) => (
        <li key={s.digest + s.tag}><State kind={s.state === "verified" ? "done" : s.state === "tampered" || s.state === "revoked" ? "ill" : "lost"}>
          {t.findings.states[s.state] ?? s.state}</State>
          <div><strong>{s.signer || s.key || s.format}</strong><p>{s.why || t.findings.by(s.key || s.format)} <code>{s.fingerprint}</code></p></div></li>
      ))}</ul>
    </Section>
  );
}
