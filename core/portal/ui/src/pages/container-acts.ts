// What can be done to containers, one by one, with one outcome each.
import type { Container } from "../gen/api";
import { call } from "../lib/api";
import { asFailure } from "../lib/load";
import { toast } from "../parts/toast";
import type { IconName } from "../parts/icons";
import { t } from "../text";

export type Act = keyof typeof t.live.acts;

export const actIcons: Record<Act, IconName> = {
  start: "play", stop: "square", restart: "refresh-cw", pause: "pause", unpause: "play", kill: "ban", remove: "trash-2",
};

// fits says whether something can be done to a container in its state.
export function fits(act: Act, c: Container): boolean {
  const on = c.state === "running" || c.state === "restarting";
  switch (act) {
    case "start": return c.state === "created" || c.state === "exited" || c.state === "dead";
    case "stop": case "kill": return on || c.state === "paused";
    case "restart": return on || c.state === "exited";
    case "pause": return c.state === "running";
    case "unpause": return c.state === "paused";
    case "remove": return c.state !== "removing";
  }
}

function one(act: Act, project: string, c: Container): Promise<unknown> {
  const path = { project, vch: c.vch, name: c.id };
  switch (act) {
    case "start": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/start", { path });
    case "stop": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/stop", { path });
    case "restart": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/restart", { path });
    case "pause": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/pause", { path });
    case "unpause": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/unpause", { path });
    case "kill": return call("POST /projects/{project}/vchs/{vch}/containers/{name}/kill", { path });
    case "remove": return call("DELETE /projects/{project}/vchs/{vch}/containers/{name}", { path, query: { force: true, v: true } });
  }
}

export interface Outcome {
  container: Container;
  error?: string;
}

const atOnce = 6; // a browser has as many connections to a host without HTTP/2

// doAll does something to all of a list, some at a time, and tells the outcome of each.
export async function doAll(act: Act, project: string, list: Container[], told: (o: Outcome) => void): Promise<Outcome[]> {
  const out: Outcome[] = [], left = [...list];
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, async () => {
    for (let c = left.shift(); c; c = left.shift()) {
      const o: Outcome = { container: c };
      try {
        await one(act, project, c);
      } catch (e) {
        o.error = asFailure(e).message;
      }
      out.push(o);
      told(o);
    }
  }));
  return out;
}

// doOne does it to one; the error is the caller's to show.
export async function doOne(act: Act, project: string, c: Container): Promise<void> {
  await one(act, project, c);
  toast(t.live.outcome(c.name, t.live.done[act]));
}
