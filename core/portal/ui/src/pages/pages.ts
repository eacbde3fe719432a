// The addresses of pages, the first that matches wins. See lib/router for what a pattern is.
import type { ComponentType } from "preact";
import { Projects } from "./projects";

type Open = ComponentType<Record<string, string>>;

export const pages: [pattern: string, page: Open][] = [
  ["", Projects as Open],
  ["/projects", Projects as Open],
];
