// Forms, and dialogs with one. Values are kept by useForm; a refusal of the server is shown above the buttons, in its words.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Failure } from "../lib/api";
import { asFailure } from "../lib/load";
import { t } from "../text";
import { Button, Icon, Note } from "./basic";

export interface Form<T> {
  values: T;
  set: (change: Partial<T>) => void;
}

export function useForm<T extends object>(initial: T): Form<T> {
  const [values, set] = useState(initial);
  return { values, set: (change) => set((old) => ({ ...old, ...change })) };
}

// useDoing runs something that takes a while: once at a time, with its error kept to be shown.
export function useDoing() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Failure>();
  const run = async (what: () => Promise<unknown>): Promise<boolean> => {
    if (busy) return false;
    setBusy(true);
    setError(undefined);
    try {
      await what();
      return true;
    } catch (e) {
      setError(asFailure(e));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run };
}

type Named<T, V> = { [K in keyof T]: T[K] extends V ? K : never }[keyof T] & string;

interface FieldProps<T, V> {
  form: Form<T>;
  name: Named<T, V>;
  label: string;
  hint?: ComponentChildren;
  required?: boolean;
  error?: string;
}

function Frame({ id, label, hint, error, optional, children }: {
  id: string; label: string; hint?: ComponentChildren; error?: string; optional?: boolean; children: ComponentChildren;
}) {
  return (
    <div class="field">
      <label for={id}>{label}{optional && <span class="soft"> {t.form.optional}</span>}</label>
      {children}
      {error ? <p class="err" id={id + "-about"}><Icon name="circle-x" /><span>{error}</span></p> : hint && <p class="hint" id={id + "-about"}>{hint}</p>}
    </div>
  );
}

export function Text<T>(p: FieldProps<T, string> & {
  type?: "text" | "password"; autocomplete?: string; mono?: boolean; rows?: number; list?: string[]; placeholder?: string; optional?: boolean; focus?: boolean;
}) {
  const id = useId();
  const [left, leave] = useState(false);
  const value = String(p.form.values[p.name]);
  const error = p.error ?? (left && p.required && value.trim() === "" ? t.form.needed(p.label) : undefined);
  const common = {
    id, value, class: p.mono ? "in mono" : "in", required: p.required, placeholder: p.placeholder, autoComplete: p.autocomplete ?? "off", autofocus: p.focus,
    "aria-invalid": error ? true : undefined, "aria-describedby": error || p.hint ? id + "-about" : undefined, onBlur: () => leave(true),
    onInput: (e: Event) => p.form.set({ [p.name]: (e.currentTarget as HTMLInputElement).value } as Partial<T>),
  };
  return (
    <Frame id={id} label={p.label} hint={p.hint} error={error} optional={p.optional}>
      {p.rows ? <textarea rows={p.rows} {...common} /> : <input {...({ ...common, type: p.type ?? "text", list: p.list && id + "-list" } as object)} />}
      {p.list && <datalist id={id + "-list"}>{p.list.map((x) => <option key={x} value={x} />)}</datalist>}
    </Frame>
  );
}

export function Choice<T>(p: FieldProps<T, string> & { options: [value: string, text: string][] }) {
  const id = useId();
  return (
    <Frame id={id} label={p.label} hint={p.hint} error={p.error}>
      <select id={id} class="in" value={String(p.form.values[p.name])} aria-describedby={p.hint ? id + "-about" : undefined}
        onChange={(e) => p.form.set({ [p.name]: e.currentTarget.value } as Partial<T>)}>
        {p.options.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
      </select>
    </Frame>
  );
}

export function Check<T>(p: FieldProps<T, boolean>) {
  const id = useId();
  return (
    <div class="check">
      <input type="checkbox" id={id} checked={Boolean(p.form.values[p.name])} aria-describedby={p.hint ? id + "-about" : undefined}
        onChange={(e) => p.form.set({ [p.name]: e.currentTarget.checked } as Partial<T>)} />
      <div><label for={id}>{p.label}</label>{p.hint && <p class="hint" id={id + "-about"}>{p.hint}</p>}</div>
    </div>
  );
}

// Picks chooses some of many.
export function Picks<T>(p: FieldProps<T, string[]> & { options: [value: string, text: string][] }) {
  const chosen = p.form.values[p.name] as string[];
  const flip = (v: string, on: boolean) => p.form.set({ [p.name]: on ? [...chosen, v] : chosen.filter((x) => x !== v) } as Partial<T>);
  return (
    <fieldset class="picks"><legend>{p.label}</legend>{p.hint && <p class="hint">{p.hint}</p>}
      <div class="two">
        {p.options.map(([v, text]) => (
          <label key={v} class="check"><input type="checkbox" checked={chosen.includes(v)} onChange={(e) => flip(v, e.currentTarget.checked)} />{text}</label>
        ))}
      </div>
    </fieldset>
  );
}

interface DialogProps {
  title: string;
  close: () => void;
  children?: ComponentChildren;
  footer?: ComponentChildren;
  wide?: boolean;
}

// Dialog is the browser's own: it keeps the focus, and Escape closes it.
export function Dialog({ title, close, children, footer, wide }: DialogProps) {
  const me = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const back = document.activeElement as HTMLElement | null;
    me.current!.showModal();
    return () => back?.focus();
  }, []);
  return (
    <dialog ref={me} aria-labelledby={id} class={wide ? "wide-dialog" : ""} onClose={close} onClick={(e) => e.target === me.current && me.current!.close()}>
      <header><h2 id={id}>{title}</h2>
        <button type="button" class="ghost" aria-label={t.form.close} onClick={() => me.current!.close()}><Icon name="x" /></button></header>
      {children}
      {footer && <footer>{footer}</footer>}
    </dialog>
  );
}

interface FormDialogProps {
  title: string;
  close: () => void;
  submit: string; // the verb of the button
  keep?: string; // what the other button says
  risk?: boolean;
  wide?: boolean;
  run: () => Promise<unknown>;
  children?: ComponentChildren;
}

// FormDialog asks, does it, and closes when it is done.
export function FormDialog(p: FormDialogProps) {
  const { busy, error, run } = useDoing();
  const form = useRef<HTMLFormElement>(null);
  const done = async (e: Event) => {
    e.preventDefault();
    const first = form.current!.querySelector<HTMLElement>(":invalid:not(fieldset)");
    if (first) {
      first.focus();
      first.blur(); // shows what is missing
      first.focus();
      return;
    }
    if (await run(p.run)) p.close();
  };
  return (
    <Dialog title={p.title} close={p.close} wide={p.wide}>
      <form ref={form} noValidate onSubmit={done}>
        <div class="form inside">
          {p.children}
          {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
        </div>
        <footer><Button onClick={p.close}>{p.keep ?? t.form.cancel}</Button>
          <Button type="submit" kind={p.risk ? "risk" : "main"} busy={busy}>{p.submit}</Button></footer>
      </form>
    </Dialog>
  );
}
