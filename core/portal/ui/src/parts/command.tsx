// The same on the command line: what a page does can be read as a command, and copied.
import { useState } from "preact/hooks";
import { system } from "../lib/session";
import { t } from "../text";
import { Button, Icon } from "./basic";
import { Dialog } from "./form";
import { toast } from "./toast";

// host is how docker names this hub.
export function host(): string {
  return system.value?.registry_url ?? location.host;
}

export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <button type="button" class="ghost copy" aria-label={label} title={label} onClick={() => {
      navigator.clipboard.writeText(text).then(() => toast(t.command.copied), () => toast(t.command.notCopied));
    }}><Icon name="copy" /></button>
  );
}

export function Code({ lines, label }: { lines: string[]; label?: string }) {
  return (
    <div class="code"><pre tabIndex={0} role="region" aria-label={label ?? t.command.title}>{lines.join("\n")}</pre>
      <Copy text={lines.join("\n")} label={t.command.copyWhat(label ?? t.command.title)} /></div>
  );
}

// quoted is a word as a shell wants it.
export function quoted(s: string): string {
  return /^[\w@%+=:,./-]+$/.test(s) ? s : "'" + s.replace(/'/g, `'\\''`) + "'";
}

export function ShowCommand({ lines, small }: { lines: string[]; small?: boolean }) {
  const [open, set] = useState(false);
  return (
    <>
      <Button icon="terminal" small={small} onClick={() => set(true)}>{t.command.show}</Button>
      {open && (
        <Dialog title={t.command.title} close={() => set(false)}>
          <div><p class="soft">{t.command.about}</p><Code lines={lines} /></div>
        </Dialog>
      )}
    </>
  );
}
