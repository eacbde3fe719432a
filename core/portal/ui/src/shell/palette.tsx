// One search over names and pages: Ctrl K.
import { useEffect, useRef, useState } from "preact/hooks";
import { below } from "../lib/format";
import { call } from "../lib/api";
import { escapePath, go } from "../lib/router";
import { useLoad } from "../lib/load";
import type { IconName } from "../parts/icons";
import { Icon } from "../parts/basic";
import { t } from "../text";
import { administration, everywhere, ofProject, projectHref } from "./nav";
import { paletteOpen } from "./keys";
import { project } from "./shell";

interface Hit {
  text: string;
  icon: IconName;
  href: string;
  end?: string;
  group: string;
}

const mostHits = 8;

export function Palette() {
  return paletteOpen.value ? <Open /> : null;
}

function Open() {
  const me = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [asked, ask] = useState("");
  const [at, setAt] = useState(0);
  useEffect(() => {
    me.current!.showModal();
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => ask(text.trim()), 150);
    return () => clearTimeout(timer);
  }, [text]);
  const found = useLoad(asked ? "search " + asked : undefined, async (signal) => (await call("GET /search", { query: { q: asked }, signal })).value);
  const want = text.trim().toLowerCase();
  const pages: Hit[] = [...(project.value ? ofProject(project.value) : []), ...everywhere(), ...administration()]
    .filter((e) => e.text.toLowerCase().includes(want)).map((e) => ({ ...e, group: t.palette.pages }));
  const hits: Hit[] = [
    ...(found.value?.project ?? []).slice(0, mostHits).map((p) => ({ text: p.name, icon: "folder" as const, href: projectHref(p.name), group: t.palette.projects })),
    ...(found.value?.repository ?? []).slice(0, mostHits).map((r) => ({
      text: r.repository_name, icon: "package" as const, href: projectHref(r.project_name, "/repositories/" + escapePath(below(r.repository_name))),
      end: t.palette.tags(r.artifact_count), group: t.palette.repositories,
    })),
    ...pages,
  ];
  const chosen = Math.min(at, hits.length - 1);
  const key = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown") setAt(Math.min(chosen + 1, hits.length - 1));
    else if (e.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else if (e.key === "Enter" && hits[chosen]) {
      me.current!.close();
      go(hits[chosen].href);
    } else return;
    e.preventDefault();
  };
  const groups = [...new Set(hits.map((h) => h.group))];
  return (
    <dialog ref={me} class="palette" aria-label={t.palette.open} onClose={() => (paletteOpen.value = false)}
      onClick={(e) => (e.target === me.current || (e.target as Element).closest("a")) && me.current!.close()}>
      <input type="text" role="combobox" aria-expanded="true" aria-controls="hits" aria-activedescendant={chosen >= 0 ? "hit" + chosen : undefined}
        aria-label={t.palette.label} placeholder={t.palette.open} autofocus value={text} onKeyDown={key}
        onInput={(e) => { setText(e.currentTarget.value); setAt(0); }} />
      <div class="lists" id="hits" role="listbox" aria-label={t.palette.open}>
        {groups.map((g) => (
          <div key={g} role="group" aria-label={g}>
            <h3 aria-hidden="true">{g}</h3>
            {hits.map((h, i) => h.group === g && (
              <a key={h.href} id={"hit" + i} role="option" aria-selected={i === chosen} class={i === chosen ? "on" : ""} href={h.href} tabIndex={-1}>
                <Icon name={h.icon} />{h.text}{h.end && <span class="end">{h.end}</span>}
              </a>
            ))}
          </div>
        ))}
        {hits.length === 0 && <p class="soft nothing" role="status">{t.palette.nothing(text.trim())}</p>}
      </div>
      <footer class="soft small">{t.palette.keys}</footer>
    </dialog>
  );
}
