// What runs on the VCHs, live: one stream of the hub's, shared by all pages. It ends while no page looks, and goes on where it
// was when one does again.
import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Container, LiveVCH } from "../gen/api";
import { address } from "./api";

export type { Container, LiveVCH };

// key names a container among those of all VCHs.
export const key = (vch: number, id: string) => vch + "/" + id;

const vchs = new Map<number, LiveVCH>();
const containers = new Map<string, Container>();

// turn counts what came: whoever reads the maps reads it, to be told.
const turn = signal(0);

// stream is how the stream does: "waiting" before all is there for the first time, "lost" while it is broken.
export const stream = signal<"waiting" | "live" | "lost">("waiting");

// changed is when something came last; things when networks, volumes or images of a VCH changed.
export const changed = signal(0);
export const things = signal<{ vch: number; what: string; turn: number }>({ vch: 0, what: "", turn: 0 });

export const allVCHs = computed(() => (turn.value, [...vchs.values()].sort((a, b) => a.name.localeCompare(b.name))));
export const allContainers = computed(() => (turn.value, [...containers.values()]));

export function container(vch: number, id: string): Container | undefined {
  turn.value;
  return containers.get(key(vch, id));
}

export function vchOf(id: number): LiveVCH | undefined {
  turn.value;
  return vchs.get(id);
}

// The list that a reset begins is shown when all of it is there, so that no row goes and comes.
let fresh: { vchs: Map<number, LiveVCH>; containers: Map<string, Container> } | undefined;

function begin(list: LiveVCH[]) {
  fresh = { vchs: new Map(list.map((v) => [v.id, v])), containers: new Map() };
}

function take(list: Container[]) {
  const into = fresh?.containers ?? containers;
  for (const c of list) into.set(key(c.vch, c.id), c);
}

function ready() {
  if (fresh) {
    vchs.clear();
    containers.clear();
    for (const [k, v] of fresh.vchs) vchs.set(k, v);
    for (const [k, v] of fresh.containers) containers.set(k, v);
    fresh = undefined;
  }
  stream.value = "live";
  changed.value = Date.now();
  turn.value++;
}

let source: EventSource | undefined;
let readers = 0;
let closing: ReturnType<typeof setTimeout> | undefined;

const closeAfter = 30_000; // milliseconds: a walk to another page and back keeps the stream

function open() {
  const s = new EventSource(address("GET /live"));
  source = s;
  const on = (event: string, act: (data: never) => void) => s.addEventListener(event, (e) => act(JSON.parse((e as MessageEvent).data) as never));
  on("reset", begin);
  on("containers", take);
  on("vch", (v: LiveVCH) => vchs.set(v.id, v));
  on("vch-gone", ({ vch }: { vch: number }) => {
    vchs.delete(vch);
    for (const [k, c] of containers) if (c.vch === vch) containers.delete(k);
  });
  on("removed", ({ vch, id }: { vch: number; id: string }) => containers.delete(key(vch, id)));
  on("things", ({ vch, id }: { vch: number; id: string }) => (things.value = { vch, what: id, turn: things.value.turn + 1 }));
  on("ready", ready);
  s.onerror = () => {
    if (stream.value === "live") stream.value = "lost";
    if (s.readyState !== EventSource.CLOSED || source !== s) return; // the browser comes again by itself
    source = undefined; // the hub has refused it: it may restart, or the session is over
    setTimeout(() => readers > 0 && !source && open(), 3000);
  };
}

// useLive keeps the stream open while a page is shown.
export function useLive() {
  useEffect(() => {
    readers++;
    clearTimeout(closing);
    if (!source) open();
    return () => {
      if (--readers > 0) return;
      closing = setTimeout(() => {
        source?.close();
        source = undefined;
        stream.value = "waiting";
      }, closeAfter);
    };
  }, []);
}

// forget drops what is known: somebody else has signed in.
export function forget() {
  source?.close();
  source = undefined;
  vchs.clear();
  containers.clear();
  fresh = undefined;
  stream.value = "waiting";
  turn.value++;
  if (readers > 0) open();
}
