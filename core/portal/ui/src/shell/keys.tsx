// Keys that work on every page. Single letters work outside of fields only.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address } from "../lib/api";
import { go, href } from "../lib/router";
import { Dialog } from "../parts/form";
import { t } from "../text";
import { project } from "./shell";
import { projectHref } from "./nav";
import { tasksOpen } from "./tasks";

export const paletteOpen = signal(false);
export const helpOpen = signal(false);

const inField = (e: Event) => (e.target as HTMLElement).matches?.("input, textarea, select, [contenteditable]");

export function useKeys() {
  useEffect(() => {
    let before = "";
    const press = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") {
        e.preventDefault();
        paletteOpen.value = true;
        return;
      }
      if (e.ctrlKey || e.metaKey || e.altKey || inField(e) || document.querySelector("dialog[open]")) return;
      const pair = before + e.key;
      before = e.key === "g" ? "g" : "";
      const to: Record<string, () => void> = {
        "/": () => (paletteOpen.value = true),
        "?": () => (helpOpen.value = true),
        t: () => (tasksOpen.value = !tasksOpen.value),
        gh: () => go(href("/")),
        gp: () => go(href("/projects")),
        gr: () => project.value && go(projectHref(project.value.name, "/repositories")),
      };
      const act = to[pair] ?? to[e.key];
      if (act) {
        e.preventDefault();
        act();
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

export function Help() {
  if (!helpOpen.value) return null;
  const keys: [string, string][] = [
    ["Ctrl K, /", t.keys.search], ["T", t.keys.tasks], ["G H", t.keys.goHome], ["G P", t.keys.goProjects], ["G R", t.keys.goRepositories], ["?", t.keys.list],
  ];
  return (
    <Dialog title={t.keys.title} close={() => (helpOpen.value = false)}>
      <div>
        <p class="soft">{t.keys.about}</p>
        <dl class="kv">{keys.map(([k, what]) => <><dt><kbd>{k}</kbd></dt><dd>{what}</dd></>)}</dl>
        <p><a href={address("GET /openapi.json")} data-leaves target="_blank" rel="noreferrer">{t.keys.docs}</a></p>
        <p><a href={address("GET /systeminfo/getcert")} data-leaves download="ca.crt">{t.keys.ca}</a></p>
      </div>
    </Dialog>
  );
}
