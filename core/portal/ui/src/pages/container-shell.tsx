// A shell in a container. The terminal is loaded when the first one is opened.
import type { Terminal } from "@xterm/xterm";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Container } from "../gen/api";
import { address } from "../lib/api";
import { Button, Empty } from "../parts/basic";
import { t } from "../text";

export function ShellPane({ project, c }: { project: string; c: Container }) {
  const [turn, open] = useState(0);
  const [closed, close] = useState<string>();
  const on = c.state === "running";
  if (!on && turn === 0) return <Empty icon="terminal" title={t.container.shell}>{t.container.shellStopped}</Empty>;
  return (
    <section class="pane tall">
      <header>
        <h2>{t.container.shell}</h2><span class="soft small">{t.container.shellAbout}</span>
        {turn === 0 ? <Button small kind="main" icon="terminal" onClick={() => open(1)}>{t.container.shellOpen}</Button>
          : closed !== undefined && <Button small icon="refresh-cw" why={on ? undefined : t.container.shellStopped} onClick={() => {
            close(undefined);
            open(turn + 1);
          }}>{t.container.shellAgain}</Button>}
      </header>
      {turn > 0 && <Screen key={turn} project={project} c={c} close={close} />}
      {closed !== undefined && <p class="soft" role="status">{t.container.shellClosed(closed)}</p>}
    </section>
  );
}

function Screen({ project, c, close }: { project: string; c: Container; close: (why: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let gone = false, end = () => undefined as void;
    void Promise.all([import("@xterm/xterm"), import("@xterm/addon-fit")]).then(([{ Terminal }, { FitAddon }]) => {
      if (gone) return;
      const css = getComputedStyle(box.current!), back = getComputedStyle(box.current!.parentElement!).backgroundColor;
      const term = new Terminal({
        fontFamily: css.fontFamily, fontSize: 13, cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches, scrollback: 5000, screenReaderMode: true,
        theme: { background: back, foreground: css.color, cursor: css.color },
      });
      const fit = new FitAddon();
      term.loadAddon(fit);
      term.open(box.current!);
      fit.fit();
      const socket = connect(project, c, term, close);
      const watch = new ResizeObserver(() => fit.fit());
      watch.observe(box.current!);
      term.focus();
      end = () => {
        watch.disconnect();
        socket.close();
        term.dispose();
      };
    });
    return () => {
      gone = true;
      end();
    };
  }, []);
  return <div class="code shell"><div ref={box} class="screen" role="group" aria-label={t.container.shellLabel(c.name)} /></div>;
}

// connect joins a terminal and a shell.
function connect(project: string, c: Container, term: Terminal, close: (why: string) => void): WebSocket {
  const at = address("GET /projects/{project}/vchs/{vch}/containers/{name}/shell",
    { path: { project, vch: c.vch, name: c.id }, query: { cols: term.cols, rows: term.rows } });
  const socket = new WebSocket(new URL(at, location.href.replace(/^http/, "ws")));
  socket.binaryType = "arraybuffer";
  const write = new TextEncoder();
  socket.onmessage = (e) => term.write(new Uint8Array(e.data as ArrayBuffer));
  socket.onclose = (e) => close(e.reason || String(e.code));
  const send = (b: Uint8Array<ArrayBuffer> | string) => socket.readyState === WebSocket.OPEN && socket.send(b);
  const part = 16 << 10; // bytes of one message; the hub takes 32 KB
  term.onData((text) => {
    const b = write.encode(text);
    for (let i = 0; i < b.length; i += part) send(b.slice(i, i + part));
  });
  term.onBinary((text) => send(Uint8Array.from(text, (ch) => ch.charCodeAt(0))));
  term.onResize(({ cols, rows }) => send(JSON.stringify({ cols, rows })));
  return socket;
}
