// The tabs of an artifact. What the hub learns to tell of artifacts gets a tab here, and appears where it is told.
import type { ComponentType } from "preact";
import type { Artifact } from "../gen/api";
import { call } from "../lib/api";
import { bytes } from "../lib/format";
import { useLoad } from "../lib/load";
import { Bones, Button, Note, Section, Time, Trouble } from "../parts/basic";
import { Find } from "../parts/table";
import { where } from "../lib/router";
import { t } from "../text";
import { Overview, type Of } from "./artifact";
import { Findings, Signatures } from "./findings";

interface ArtifactTab {
  key: string;
  title: string;
  there: (a: Artifact) => boolean;
  count?: (a: Artifact) => number | undefined;
  Body: ComponentType<Of>;
}

const sboms = (a: Artifact) => (a.accessories ?? []).filter((x) => x.type.startsWith("sbom"));

const signatures = (a: Artifact) => (a.accessories ?? []).filter((x) => x.type.startsWith("signature")).length;

const links = (a: Artifact, name: string) => a.addition_links?.[name] !== undefined;

export const artifactTabs: ArtifactTab[] = [
  { key: "", title: t.project.overview, there: () => true, Body: (o) => <Overview {...o} /> },
  { key: "findings", title: t.findings.title, there: (a) => links(a, "vulnerabilities"), Body: Findings },
  { key: "signatures", title: t.findings.signatures, there: (a) => signatures(a) > 0, count: signatures, Body: Signatures },
  { key: "history", title: t.artifact.history, there: (a) => links(a, "build_history"), Body: History },
  { key: "readme", title: t.artifact.readme, there: (a) => links(a, "readme.md"), Body: (o) => <Plain {...o} addition="readme.md" /> },
  { key: "values", title: t.artifact.values, there: (a) => links(a, "values.yaml"), Body: (o) => <Plain {...o} addition="values.yaml" /> },
  { key: "sbom", title: t.artifact.sbom, there: (a) => sboms(a).length > 0, Body: Sbom },
];

// useAddition loads what an artifact tells of itself.
export function useAddition({ project, repository, artifact }: Of, addition: string, digest = artifact.digest) {
  return useLoad(digest + addition, async (signal) => (await call("GET /projects/{project}/repositories/{repository}/artifacts/{reference}/additions/{addition}",
    { path: { project: project.name, repository, reference: digest, addition }, signal })).value as unknown);
}

interface Step {
  created?: string;
  created_by?: string;
  author?: string;
  comment?: string;
  empty_layer?: boolean;
}

function History(o: Of) {
  const steps = useAddition(o, "build_history");
  if (steps.error) return <Trouble error={steps.error} again={steps.again} />;
  if (!steps.value) return <Bones lines={5} />;
  const list = steps.value as Step[];
  return (
    <Section title={t.artifact.history} about={t.artifact.steps(list.length)}>
      <div class="panel"><table class="grid cards" aria-label={t.artifact.history}>
        <thead><tr><th scope="col" class="num">{t.artifact.step}</th><th scope="col">{t.artifact.command}</th><th scope="col">{t.artifact.layer}</th><th scope="col">{t.projects.created}</th></tr></thead>
        <tbody>{list.map((s, i) => (
          <tr key={i}><td class="num opt">{i + 1}</td><th scope="row" class="mono command">{s.created_by || s.comment || "–"}</th>
            <td data-l={t.artifact.layer}>{s.empty_layer ? t.artifact.noLayer : t.artifact.oneLayer}</td><td data-l={t.projects.created}><Time at={s.created} /></td></tr>
        ))}</tbody>
      </table></div>
    </Section>
  );
}

function Plain(o: Of & { addition: string }) {
  const text = useAddition(o, o.addition);
  if (text.error) return <Trouble error={text.error} again={text.again} />;
  if (text.value === undefined) return <Bones lines={5} />;
  return <div class="code whole"><pre tabIndex={0}>{String(text.value)}</pre></div>;
}

interface Package {
  name: string;
  version: string;
  licence: string;
}

interface Spdx {
  spdxVersion?: string;
  packages?: { name?: string; versionInfo?: string; licenseConcluded?: string; licenseDeclared?: string }[];
  components?: { name?: string; version?: string; licenses?: { license?: { id?: string; name?: string } }[] }[];
}

// packages reads SPDX and CycloneDX as far as people look for.
function packages(doc: Spdx): Package[] {
  const none = (s?: string) => (s && s !== "NOASSERTION" ? s : "");
  return [
    ...(doc.packages ?? []).map((p) => ({ name: p.name ?? "", version: p.versionInfo ?? "", licence: none(p.licenseConcluded) || none(p.licenseDeclared) })),
    ...(doc.components ?? []).map((c) => ({
      name: c.name ?? "", version: c.version ?? "", licence: (c.licenses ?? []).map((l) => l.license?.id ?? l.license?.name ?? "").filter(Boolean).join(", "),
    })),
  ].sort((a, b) => a.name.localeCompare(b.name));
}

const mostPackages = 500;

function Sbom(o: Of) {
  const first = sboms(o.artifact)[0];
  const doc = useAddition(o, "sbom", first?.digest ?? o.artifact.digest);
  const find = where.value.query.get("find") ?? "";
  if (doc.error) return <Trouble error={doc.error} again={doc.again} />;
  if (doc.value === undefined) return <Bones lines={6} />;
  const all = packages(doc.value as Spdx), shown = all.filter((p) => (p.name + p.version + p.licence).toLowerCase().includes(find.toLowerCase()));
  const text = JSON.stringify(doc.value, null, 2);
  return (
    <Section title={t.artifact.packages} about={t.artifact.packagesAbout(shown.length, all.length, first ? bytes(first.size) : bytes(text.length))}
      link={<Button small icon="download" leaves download={`sbom-${o.artifact.digest.slice(7, 19)}.json`} href={URL.createObjectURL(new Blob([text], { type: "application/json" }))}>
        {t.artifact.download}</Button>}>
      {all.length === 0 ? <Note title={t.artifact.noPackages}>{t.artifact.noPackagesText}</Note> : (
        <>
          <div class="tools"><Find label={t.artifact.findPackage} value={find} /></div>
          <div class="panel"><table class="grid cards" aria-label={t.artifact.packages}>
            <thead><tr><th scope="col">{t.artifact.package}</th><th scope="col">{t.artifact.version}</th><th scope="col">{t.artifact.licence}</th></tr></thead>
            <tbody>{shown.slice(0, mostPackages).map((p, i) => (
              <tr key={i}><th scope="row">{p.name}</th><td data-l={t.artifact.version} class="mono">{p.version}</td><td data-l={t.artifact.licence}>{p.licence || "–"}</td></tr>
            ))}</tbody>
          </table></div>
        </>
      )}
    </Section>
  );
}
