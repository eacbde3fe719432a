// What people write in the form of a container, as Docker's API wants it.
import { quoted } from "../parts/command";
import { t } from "../text";

export interface Wanted {
  image: string;
  name: string;
  command: string;
  memory: string;
  cpus: string;
  ports: string;
  network: string;
  volumes: string;
  env: string;
  restart: string;
}

export const nothingWanted: Wanted = { image: "", name: "", command: "", memory: "", cpus: "", ports: "", network: "", volumes: "", env: "", restart: "" };

// Mistake is a line that is not understood.
export class Mistake extends Error {
  constructor(readonly field: keyof Wanted, text: string) {
    super(text);
  }
}

const lines = (text: string) => text.split("\n").map((l) => l.trim()).filter(Boolean);

// words splits as a shell does, as far as quotes and backslashes go.
export function words(text: string): string[] {
  const out: string[] = [];
  for (const m of text.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g)) {
    out.push(m[0].replace(/\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, one, two, three) => one ?? (two !== undefined ? two.replace(/\\(.)/g, "$1") : three)));
  }
  return out;
}

function number(w: Wanted, field: "memory" | "cpus", label: string): number | undefined {
  if (w[field].trim() === "") return undefined;
  const n = Number(w[field]);
  if (!Number.isFinite(n) || n <= 0) throw new Mistake(field, t.provision.bad(label, w[field]));
  return n;
}

// config is the body of POST /containers/create. It throws a Mistake.
export function config(w: Wanted): Record<string, unknown> {
  const exposed: Record<string, object> = {}, bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const l of lines(w.ports)) {
    const m = /^(?:([\d.]+|\[[0-9a-fA-F:]+\]):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(l);
    if (!m) throw new Mistake("ports", t.provision.bad(t.provision.ports, l));
    const port = m[3] + "/" + (m[4] ?? "tcp");
    exposed[port] = {};
    (bindings[port] ??= []).push({ HostIp: (m[1] ?? "").replace(/[[\]]/g, ""), HostPort: m[2] });
  }
  for (const l of lines(w.volumes)) {
    if (!/^[a-zA-Z0-9][\w.-]*:\/[^:]*(:(ro|rw))?$/.test(l)) throw new Mistake("volumes", t.provision.bad(t.provision.volumes, l));
  }
  for (const l of lines(w.env)) {
    if (!/^[^=\s][^=]*=/.test(l)) throw new Mistake("env", t.provision.bad(t.provision.env, l));
  }
  const memory = number(w, "memory", t.provision.memory), cpus = number(w, "cpus", t.provision.cpus), command = words(w.command);
  return {
    Image: w.image.trim(),
    ...(command.length > 0 ? { Cmd: command } : {}),
    ...(w.env.trim() ? { Env: lines(w.env) } : {}),
    ...(Object.keys(exposed).length > 0 ? { ExposedPorts: exposed } : {}),
    HostConfig: {
      ...(memory ? { Memory: Math.round(memory * 1048576) } : {}), ...(cpus ? { NanoCpus: Math.round(cpus * 1e9) } : {}),
      ...(Object.keys(bindings).length > 0 ? { PortBindings: bindings } : {}), ...(w.volumes.trim() ? { Binds: lines(w.volumes) } : {}),
      ...(w.network.trim() ? { NetworkMode: w.network.trim() } : {}), ...(w.restart ? { RestartPolicy: { Name: w.restart } } : {}),
    },
  };
}

// command is the same with docker. Values of variables are left out: they may be secrets.
export function command(w: Wanted): string[] {
  const out = ["docker run -d"];
  const add = (flag: string, value: string) => value.trim() && out.push(`  ${flag} ${quoted(value.trim())}`);
  add("--name", w.name);
  if (w.memory) add("-m", w.memory + "m");
  add("--cpus", w.cpus);
  for (const l of lines(w.ports)) add("-p", l);
  add("--network", w.network);
  for (const l of lines(w.volumes)) add("-v", l);
  for (const l of lines(w.env)) add("-e", l.split("=")[0]);
  add("--restart", w.restart);
  out.push("  " + [w.image.trim() || "IMAGE", ...words(w.command).map(quoted)].join(" "));
  return [out.join(" \\\n")];
}
