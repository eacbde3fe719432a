// Colours of a terminal in a log line. Only what colours is understood; the other sequences go.
import type { ComponentChildren } from "preact";

const colours = ["k", "r", "g", "y", "b", "m", "c", "w"];

export function ansi(text: string): ComponentChildren {
  if (!text.includes("\x1b")) return text;
  const out: ComponentChildren[] = [];
  let style = "", bold = false;
  // eslint-disable-next-line no-control-regex
  const sequence = /\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g;
  let from = 0;
  const put = (to: number) => {
    if (to > from) out.push(style || bold ? <span class={(style && "ansi-" + style) + (bold ? " ansi-bold" : "")}>{text.slice(from, to)}</span> : text.slice(from, to));
  };
  for (const m of text.matchAll(sequence)) {
    put(m.index);
    from = m.index + m[0].length;
    if (m[2] !== "m") continue;
    for (const code of (m[1] || "0").split(";").map(Number)) {
      if (code === 0) [style, bold] = ["", false];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code >= 30 && code <= 37) style = colours[code - 30];
      else if (code >= 90 && code <= 97) style = colours[code - 90];
      else if (code === 39) style = "";
      else if (code === 38 || code === 48) break; // of 256 or more: the text stays as it is
    }
  }
  put(text.length);
  return out;
}
