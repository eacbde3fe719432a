// How numbers, times and names are written.
import { t } from "../text";

const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(n: number | undefined): string {
  if (n === undefined) return "–";
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i === 0 || n >= 100 ? Math.round(n).toString() : n.toFixed(1)) + " " + units[i];
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// known says whether a time of the API is one: what never was is empty, or the year 1.
export function known(time: string | undefined): time is string {
  return !!time && !time.startsWith("0001-");
}

// when is short: minutes within an hour, then the time of day, then the day.
export function when(time: string | undefined, now = Date.now()): string {
  if (!known(time)) return t.times.never;
  const d = new Date(time), minutes = Math.round((now - d.getTime()) / 60_000);
  if (minutes >= 0 && minutes < 1) return t.times.now;
  if (minutes >= 0 && minutes < 60) return t.times.minutes(minutes);
  const today = new Date(now);
  if (d.toDateString() === today.toDateString()) return clock.format(d);
  if (d.getFullYear() === today.getFullYear()) return day.format(d) + ", " + clock.format(d);
  return longDay.format(d);
}

export function exactly(time: string | undefined): string {
  return known(time) ? full.format(new Date(time)) : "";
}

export function seconds(from: string | undefined, to: string | undefined): string {
  if (!known(from)) return "–";
  const s = ((known(to) ? new Date(to).getTime() : Date.now()) - new Date(from).getTime()) / 1000;
  return s < 90 ? t.times.seconds(Math.max(0, Math.round(s * 10) / 10)) : t.times.minutesLong(Math.round(s / 60));
}

// cut shortens a digest in the middle.
export function cut(digest: string): string {
  return digest.length > 26 ? digest.slice(0, 19) + "…" + digest.slice(-6) : digest;
}

// cutAll shortens the digests in a text.
export function cutAll(text: string): string {
  return text.replace(/sha256:[0-9a-f]{64}/g, cut);
}

// below is a repository's name without its project.
export function below(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

export function initials(name: string): string {
  const words = name.split("@")[0].split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return ((words[0]?.[0] ?? "?") + (words[1]?.[0] ?? "")).toUpperCase();
}
