// The small parts that every page is made of. docs/design-system.md says when to use which.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { icons, type IconName } from "./icons";
import { exactly, when } from "../lib/format";
import { moved } from "../lib/router";
import { system } from "../lib/session";
import type { Failure } from "../lib/api";
import { t } from "../text";

type Children = { children?: ComponentChildren };

export function Icon({ name, class: extra = "" }: { name: IconName; class?: string }) {
  return <svg class={"i " + extra} viewBox="0 0 24 24" aria-hidden="true" dangerouslySetInnerHTML={{ __html: icons[name] }} />;
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1d5fc4" /><path d="M7 11h8v8H7zm10 0h8v8h-8zM7 21h8v4H7zm10 0h8v4h-8z" fill="#fff" />
    </svg>
  );
}

interface ButtonProps extends Children {
  icon?: IconName;
  kind?: "main" | "risk";
  small?: boolean;
  busy?: boolean;
  why?: string; // the reason why it cannot be used now: it keeps its place and tells it
  label?: string; // for a button whose text is not enough
  href?: string;
  leaves?: boolean; // the address is no page of the portal
  download?: boolean | string;
  type?: "submit" | "button";
  onClick?: () => void;
}

export function Button(p: ButtonProps) {
  const style = ["btn", p.kind, p.small && "s"].filter(Boolean).join(" ");
  const inside = <>{p.icon && <Icon name={p.icon} />}{p.children}</>;
  if (p.href && !p.why) {
    return <a class={style} href={p.href} aria-label={p.label} download={p.download} data-leaves={p.leaves ? "" : undefined}>{inside}</a>;
  }
  return (
    <button type={p.type ?? "button"} class={style} aria-label={p.label} aria-disabled={p.why || p.busy ? "true" : undefined} aria-busy={p.busy || undefined}
      title={p.why} onClick={(e) => {
        if (p.why || p.busy) e.preventDefault();
        else p.onClick?.();
      }}>{inside}</button>
  );
}

// More is a button with a menu of what is done more rarely.
export function More({ label, children }: Children & { label: string }) {
  const id = useId();
  return (
    <>
      <button type="button" class="btn" popovertarget={id} aria-label={label} title={label}><Icon name="ellipsis" /></button>
      <div class="menu more" id={id} popover="auto" onClick={(e) => e.currentTarget.hidePopover()}>{children}</div>
    </>
  );
}

export type Kind = "run" | "stop" | "ill" | "warn" | "lost" | "wait" | "busy" | "done";

const shapes: Record<Kind, IconName> = {
  run: "play", stop: "square", ill: "circle-x", warn: "triangle-alert", lost: "circle-dashed", wait: "hourglass", busy: "loader-circle", done: "circle-check",
};

export function State({ kind, icon, children }: Children & { kind: Kind; icon?: IconName }) {
  return <span class={"state " + kind + (icon ? " own" : "")}><Icon name={icon ?? shapes[kind]} />{children}</span>;
}

export function Time({ at }: { at?: string }) {
  return <time dateTime={at} title={exactly(at)} class="nowrap">{when(at)}</time>;
}

export interface Crumb {
  text: string;
  href?: string;
}

interface PageProps extends Children {
  title: string;
  state?: ComponentChildren;
  intro?: ComponentChildren;
  crumbs?: Crumb[];
  acts?: ComponentChildren;
  tabs?: ComponentChildren;
}

// Page is the frame of all pages: heading with actions, tabs, content. It names the document and takes the focus.
export function Page(p: PageProps) {
  const head = useRef<HTMLHeadingElement>(null);
  const turn = useRef(moved.value);
  useEffect(() => {
    document.title = p.title + " – " + t.product;
    if (turn.current !== moved.value || moved.value > 0) head.current?.focus({ preventScroll: true });
    turn.current = moved.value;
  }, [p.title]);
  return (
    <>
      <div class="head">
        <div>
          {p.crumbs && (
            <nav class="crumbs" aria-label={t.shell.crumbs}>
              <ol>{p.crumbs.map((c) => <li key={c.text}>{c.href ? <a href={c.href}>{c.text}</a> : c.text}</li>)}</ol>
            </nav>
          )}
          <div class="title"><h1 ref={head} tabIndex={-1}>{p.title}</h1>{p.state}</div>
          {p.intro && <p class="soft">{p.intro}</p>}
        </div>
        {p.acts && <div class="acts">{p.acts}</div>}
      </div>
      {p.tabs}
      {system.value?.read_only && <div class="body"><Note kind="warn" title={t.shell.readOnly}>{t.shell.readOnlyText}</Note></div>}
      {p.children}
    </>
  );
}

export function Section({ title, about, link, children }: Children & { title: string; about?: ComponentChildren; link?: ComponentChildren }) {
  return <section class="sec"><header><h2>{title}</h2>{about !== undefined && <span class="soft">{about}</span>}{link}</header>{children}</section>;
}

export interface Tab {
  text: string;
  href: string;
  here: boolean;
  count?: number;
}

export function Tabs({ tabs, label }: { tabs: Tab[]; label: string }) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((x) => (
        <a key={x.href} href={x.href} aria-current={x.here ? "page" : undefined}>{x.text}{x.count !== undefined && <span class="n">{x.count}</span>}</a>
      ))}
    </nav>
  );
}

const noteIcons = { bad: "circle-alert", warn: "triangle-alert", wait: "hourglass", good: "circle-check", info: "info" } as const;

export function Note({ kind = "info", title, acts, children }: Children & { kind?: keyof typeof noteIcons; title: string; acts?: ComponentChildren }) {
  return (
    <div class={"note " + (kind === "info" ? "" : kind)} role={kind === "bad" ? "alert" : undefined}>
      <Icon name={noteIcons[kind]} /><div><strong>{title}</strong>{children && <p>{children}</p>}</div>{acts && <div class="acts">{acts}</div>}
    </div>
  );
}

// Trouble shows why something cannot be shown, and lets the user try again.
export function Trouble({ error, again }: { error: Failure; again?: () => void }) {
  return (
    <Note kind="bad" title={error.status === 403 ? t.errors.notAllowed : error.status === 404 ? t.errors.notFound : t.errors.notLoaded}
      acts={again && <Button small icon="refresh-cw" onClick={again}>{t.errors.again}</Button>}>{error.message}</Note>
  );
}

export function Empty({ icon, title, children, acts }: Children & { icon: IconName; title: string; acts?: ComponentChildren }) {
  return <div class="empty"><Icon name={icon} class="big" /><h2>{title}</h2>{children && <p>{children}</p>}{acts && <div class="acts">{acts}</div>}</div>;
}

// Bones stand for text that is loading, after a moment only: what comes at once does not flicker.
export function Bones({ lines = 3 }: { lines?: number }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 200);
    return () => clearTimeout(timer);
  }, []);
  if (!shown) return null;
  return <div class="bones" role="status" aria-label={t.shell.loading}>{Array.from({ length: lines }, (_, i) => <span key={i} class="bone" />)}</div>;
}

export function KV({ of }: { of: [string, ComponentChildren][] }) {
  return <dl class="kv">{of.filter(([, v]) => v !== undefined && v !== "").map(([k, v]) => <><dt>{k}</dt><dd>{v}</dd></>)}</dl>;
}

export function Meter({ label, used, hard, text }: { label: string; used: number; hard: number; text: string }) {
  const part = hard > 0 ? Math.min(1, used / hard) : 0;
  return (
    <div class="meter">
      <div class="lab"><b>{label}</b><span>{text}</span></div>
      {hard > 0 && (
        <div class="bar" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={hard} aria-valuenow={Math.min(used, hard)} aria-valuetext={text}>
          <i class={part >= 1 ? "full" : part >= 0.85 ? "hot" : ""} style={{ width: part * 100 + "%" }} />
        </div>
      )}
    </div>
  );
}
