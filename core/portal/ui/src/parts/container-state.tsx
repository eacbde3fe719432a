// The state of a container as a badge: a shape and a word.
import type { Container } from "../gen/api";
import { exactly, when } from "../lib/format";
import { State } from "./basic";
import { t } from "../text";

export function ContainerState({ of: c, stale }: { of: Container; stale?: boolean }) {
  const word = t.live.states[c.state] ?? c.state;
  if (stale) return <State kind="lost">{t.live.was(word)}</State>;
  switch (c.state) {
    case "running":
      if (c.health === "unhealthy") return <State kind="ill" icon="triangle-alert">{t.live.unhealthy}</State>;
      return <State kind="run">{c.health === "starting" ? t.live.starting : word}</State>;
    case "restarting": case "removing":
      return <State kind="busy">{word}</State>;
    case "paused":
      return <State kind="stop" icon="pause">{word}</State>;
    case "exited":
      return <State kind={c.exit_code ? "ill" : "stop"}>{t.live.exit(c.exit_code ?? 0)}</State>;
    case "dead":
      return <State kind="ill">{word}</State>;
  }
  return <State kind="stop">{word}</State>;
}

// iso is a time of the stream, in seconds since 1970, as the API's others are.
export function iso(seconds: number | undefined): string | undefined {
  return seconds ? new Date(seconds * 1000).toISOString() : undefined;
}

export function Since({ seconds }: { seconds?: number }) {
  const at = iso(seconds);
  return at ? <time dateTime={at} title={exactly(at)} class="nowrap soft">{when(at)}</time> : <span class="soft">–</span>;
}
