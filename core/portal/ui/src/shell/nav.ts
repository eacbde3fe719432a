// The pages that the side and the palette lead to. Parts of the portal that come later put theirs here.
import type { Project } from "../gen/api";
import type { IconName } from "../parts/icons";
import { href } from "../lib/router";
import { isAdmin, may, user } from "../lib/session";
import { t } from "../text";

export interface Entry {
  text: string;
  icon: IconName;
  href: string;
  // also is what addresses of the same entry begin with, beside href.
  also?: string;
  // alone says that the pages below href are of another entry.
  alone?: boolean;
  count?: number;
}

export function projectHref(name: string, rest = ""): string {
  return href("/projects/" + encodeURIComponent(name) + rest);
}

// ofProject are the pages of a project that the caller may see.
export function ofProject(p: Project): Entry[] {
  const n = p.name, to = (rest: string) => projectHref(n, rest);
  const all: (Entry | false)[] = [
    { text: t.project.overview, icon: "house", href: to(""), alone: true },
    may("container:read", p) && { text: t.live.containers, icon: "container", href: to("/containers"), also: to("/run") },
    may("container:read", p) && { text: t.provision.requests, icon: "list-checks", href: to("/requests") },
    { text: t.project.repositories, icon: "package", href: to("/repositories"), also: to("/artifacts"), count: p.repo_count },
    may("member:list", p) && { text: t.project.members, icon: "users", href: to("/members") },
    may("robot:manage", p) && { text: t.project.robots, icon: "bot", href: to("/robots") },
    may("notification-policy:manage", p) && { text: t.project.webhooks, icon: "webhook", href: to("/webhooks") },
    { text: t.project.policies, icon: "lock", href: to("/policies") },
    { text: t.project.labels, icon: "tag", href: to("/labels") },
    may("container:read", p) && { text: t.project.vchs, icon: "server", href: to("/vchs") },
    may("log:list", p) && { text: t.project.log, icon: "scroll-text", href: to("/log") },
    may("project:update", p) && { text: t.project.configuration, icon: "settings", href: to("/configuration") },
  ];
  return all.filter((e) => e !== false);
}

// everywhere are the pages that are of no project.
export function everywhere(): Entry[] {
  const all: (Entry | false)[] = [
    { text: t.home.title, icon: "house", href: href("/") },
    { text: t.projects.title, icon: "boxes", href: href("/projects"), alone: true },
  ];
  return all.filter((e) => e !== false);
}

// administration are the pages of cloud administrators.
export function administration(): Entry[] {
  if (!isAdmin.value) return [];
  return [
    { text: t.admin.vchs.title, icon: "server", href: href("/vchs") },
    { text: t.admin.registries.title, icon: "database", href: href("/registries") },
    { text: t.admin.quotas.title, icon: "gauge", href: href("/quotas") },
    { text: t.admin.people.title, icon: "users", href: href("/people") },
    { text: t.admin.robots.title, icon: "bot", href: href("/robots") },
    { text: t.admin.gc.title, icon: "recycle", href: href("/garbage-collection") },
    { text: t.admin.audit.title, icon: "scroll-text", href: href("/audit-log") },
    { text: t.admin.settings.title, icon: "settings", href: href("/settings") },
  ];
}

// signedIn says whether there is somebody.
export function signedIn(): boolean {
  return !!user.value;
}
