// The addresses of pages, the first that matches wins. See lib/router for what a pattern is.
import type { ComponentType } from "preact";
import { Account } from "./account";
import { ArtifactPage } from "./artifact";
import { ProjectConfiguration } from "./configuration";
import { Garbage } from "./garbage";
import { ContainerPage } from "./container";
import { Containers } from "./containers";
import { Home } from "./home";
import { ProjectLabels } from "./labels";
import { AuditLog, ProjectLog } from "./log";
import { Members } from "./members";
import { People } from "./people";
import { Policies } from "./policies";
import { ProjectHome } from "./project";
import { Projects } from "./projects";
import { Quotas } from "./quotas";
import { Registries } from "./registries";
import { RequestPage, Requests } from "./requests";
import { RunContainer } from "./run";
import { Repositories, RepositoryPage } from "./repositories";
import { HubRobots, ProjectRobots } from "./robots";
import { Settings } from "./settings";
import { ProjectVchs, Vchs } from "./vchs";
import { WebhookPage, Webhooks } from "./webhooks";

type Open = ComponentType<Record<string, string>>;

export const pages: [pattern: string, page: Open][] = [
  ["", Home as Open],
  ["/projects", Projects as Open],
  ["/projects/:project", ProjectHome],
  ["/projects/:project/repositories", Repositories],
  ["/projects/:project/repositories/:repository*", RepositoryPage],
  ["/projects/:project/artifacts/:rest*", ArtifactPage],
  ["/projects/:project/containers", Containers],
  ["/projects/:project/containers/:vch/:id", ContainerPage],
  ["/projects/:project/containers/:vch/:id/:tab", ContainerPage],
  ["/projects/:project/run", RunContainer],
  ["/projects/:project/requests", Requests],
  ["/projects/:project/requests/:id", RequestPage],
  ["/projects/:project/members", Members],
  ["/projects/:project/robots", ProjectRobots],
  ["/projects/:project/webhooks", Webhooks],
  ["/projects/:project/webhooks/:policy", WebhookPage],
  ["/projects/:project/policies", Policies],
  ["/projects/:project/labels", ProjectLabels],
  ["/projects/:project/vchs", ProjectVchs],
  ["/projects/:project/log", ProjectLog],
  ["/projects/:project/configuration", ProjectConfiguration],
  ["/account", Account as Open],
  ["/vchs", Vchs as Open],
  ["/registries", Registries as Open],
  ["/quotas", Quotas as Open],
  ["/people", People as Open],
  ["/robots", HubRobots as Open],
  ["/garbage-collection", Garbage as Open],
  ["/audit-log", AuditLog as Open],
  ["/settings", Settings as Open],
];
