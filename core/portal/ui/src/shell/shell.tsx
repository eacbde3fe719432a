// The four regions: top, side, sheet, tasks. They are the same on every page but sign-in.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Project } from "../gen/api";
import { initials } from "../lib/format";
import { href, where } from "../lib/router";
import { isAdmin, may, signOut, stranger, system, user } from "../lib/session";
import { Button, Icon, Logo, Note } from "../parts/basic";
import { Toasts } from "../parts/toast";
import { t } from "../text";
import { administration, everywhere, ofProject, type Entry } from "./nav";
import { helpOpen, paletteOpen } from "./keys";
import { Tasks } from "./tasks";

// project is the one whose pages are open.
export const project = signal<Project | undefined>(undefined);

const themeKey = "vic-theme";

export function beginTheme() {
  const kept = localStorage.getItem(themeKey);
  if (kept) document.documentElement.dataset.theme = kept;
  const show = () => (dark.value = isDark());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

const isDark = () => {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const dark = signal(false);

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem(themeKey, next);
  dark.value = next === "dark";
}

export function Shell({ children }: { children: ComponentChildren }) {
  const banner = system.value?.banner_message;
  return (
    <div class="app">
      <a class="skip" href="#sheet">{t.shell.skip}</a>
      <Top />
      <Side />
      <main class="sheet" id="sheet" tabIndex={-1}>
        {banner && <div class="banner"><Note title={banner} /></div>}
        {children}
      </main>
      {user.value ? <Tasks /> : <div class="tasks none" />}
      <Toasts />
    </div>
  );
}

function Top() {
  const u = user.value;
  return (
    <header class="top">
      <button type="button" class="ghost nav-open" aria-label={t.shell.menu} popovertarget="side"><Icon name="menu" /></button>
      <a class="brand" href={href("/")} aria-label={t.shell.home}><Logo /><span>{t.brand}</span></a>
      <a class="switch" href={href("/projects")} aria-label={t.shell.project + ": " + (project.value?.name ?? t.shell.allProjects)}>
        <span>{t.shell.project}</span>{project.value?.name ?? t.shell.allProjects}<Icon name="chevrons-up-down" />
      </a>
      <button type="button" class="seek" aria-label={t.palette.open} onClick={() => (paletteOpen.value = true)}>
        <Icon name="search" /><span>{t.palette.open}</span><kbd>Ctrl K</kbd>
      </button>
      <button type="button" class="ghost hide" aria-label={dark.value ? t.shell.toLight : t.shell.toDark} onClick={switchTheme}>
        <Icon name={dark.value ? "sun" : "moon"} />
      </button>
      <button type="button" class="ghost hide" aria-label={t.shell.help} onClick={() => (helpOpen.value = true)}><Icon name="circle-help" /></button>
      {u ? (
        <>
          <button type="button" class="who" popovertarget="account" aria-label={t.shell.account + ": " + u.username}>
            <span class="face" aria-hidden="true">{initials(u.username)}</span><span class="nm">{u.username}</span><Icon name="chevron-down" />
          </button>
          <div id="account" class="menu" popover="auto">
            <p><strong>{u.realname || u.username}</strong><br /><span class="soft small">{u.principal}{isAdmin.value && <><br />{t.account.admin}</>}</span></p>
            <a href={href("/account")}><Icon name="user-round" />{t.shell.yourAccount}</a>
            <button type="button" class="show-small" onClick={switchTheme}><Icon name="moon" />{dark.value ? t.shell.toLight : t.shell.toDark}</button>
            <button type="button" class="show-small" onClick={() => (helpOpen.value = true)}><Icon name="circle-help" />{t.shell.help}</button>
            <button type="button" onClick={() => void signOut()}><Icon name="log-out" />{t.shell.signOut}</button>
          </div>
        </>
      ) : <Button icon="log-in" kind="main" onClick={() => (stranger.value = false)}>{t.shell.signIn}</Button>}
    </header>
  );
}

function Side() {
  const p = project.value;
  const version = system.value?.harbor_version;
  return (
    <nav class="side" id="side" popover="auto" aria-label={t.shell.pages}>
      {p && <Entries title={p.name} label={t.shell.projectPages(p.name)} of={ofProject(p)} />}
      <Entries title={t.shell.everywhere} label={t.shell.everywhere} of={everywhere()} />
      {may("configuration:manage") && <Entries title={t.shell.administration} label={t.shell.administration} of={administration()} />}
      <footer>{version && t.shell.version(version)}</footer>
    </nav>
  );
}

function Entries({ title, label, of }: { title: string; label: string; of: Entry[] }) {
  const path = where.value.path;
  // The longest entry that the address begins with is the one that is open.
  const here = of.filter((e) => [e.href, e.also].some((x) => x !== undefined && under(x, path, e.alone))).sort((a, b) => b.href.length - a.href.length)[0];
  return (
    <div role="group" aria-label={label}>
      <h2>{title}</h2>
      <ul>{of.map((e) => (
        <li key={e.href}>
          <a href={e.href} aria-current={e === here ? "page" : undefined}><Icon name={e.icon} />{e.text}{e.count !== undefined && <span class="n">{e.count}</span>}</a>
        </li>
      ))}</ul>
    </div>
  );
}

function under(entry: string, path: string, alone = false): boolean {
  const own = "/" + entry.slice(href("/").length);
  return path === own || !alone && own !== "/" && path.startsWith(own + "/");
}
