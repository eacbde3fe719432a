// The addresses of pages, the first that matches wins. See lib/router for what a pattern is.
import type { ComponentType } from "preact";
import { ArtifactPage } from "./artifact";
import { Home } from "./home";
import { ProjectLabels } from "./labels";
import { AuditLog, ProjectLog } from "./log";
import { Members } from "./members";
import { ProjectHome } from "./project";
import { Projects } from "./projects";
import { Repositories, RepositoryPage } from "./repositories";

type Open = ComponentType<Record<string, string>>;

export const pages: [pattern: string, page: Open][] = [
  ["", Home as Open],
  ["/projects", Projects as Open],
  ["/projects/:project", ProjectHome],
  ["/projects/:project/repositories", Repositories],
  ["/projects/:project/repositories/:repository*", RepositoryPage],
  ["/projects/:project/artifacts/:rest*", ArtifactPage],
  ["/projects/:project/members", Members],
  ["/projects/:project/labels", ProjectLabels],
  ["/projects/:project/log", ProjectLog],
  ["/audit-log", AuditLog as Open],
];
