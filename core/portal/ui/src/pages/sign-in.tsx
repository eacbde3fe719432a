// Sign-in: by name and password at every source that takes one, or by a redirect. It stands in the place of the page that
// was asked for; when a session ends, it comes as a dialog over the page, so that what was typed stays.
import type { Way } from "../gen/api";
import { address, call, Failure, signedOut } from "../lib/api";
import { base } from "../lib/router";
import { find, stranger, system, user } from "../lib/session";
import { useGet } from "../lib/load";
import { Bones, Button, Logo, Note, Trouble } from "../parts/basic";
import { Choice, Dialog, Text, useDoing, useForm } from "../parts/form";
import { useEffect } from "preact/hooks";
import { t } from "../text";

export function SignIn() {
  useEffect(() => {
    document.title = t.signIn.title + " – " + t.product;
  }, []);
  const banner = system.value?.banner_message;
  return (
    <div class="gate">
      <main>
        <div class="logo"><Logo /><h1>{t.product}</h1></div>
        {banner && <div class="banner"><Note title={banner} /></div>}
        <div class="box"><Ways /></div>
        <footer>
          <p><button type="button" class="link" onClick={() => (stranger.value = true)}>{t.signIn.browse}</button></p>
          <p>{t.signIn.audit}</p>
        </footer>
      </main>
    </div>
  );
}

// SignInAgain is for a session that has ended.
export function SignInAgain() {
  if (signedOut.value === 0) return null;
  return (
    <Dialog title={t.signIn.title} close={() => (signedOut.value = 0)}>
      <div class="again"><Note title={t.signIn.ended}>{t.signIn.endedText}</Note><Ways done={() => (signedOut.value = 0)} /></div>
    </Dialog>
  );
}

function Ways({ done }: { done?: () => void }) {
  const ways = useGet("GET /sign-in/sources");
  if (ways.error) return <Trouble error={ways.error} again={ways.again} />;
  if (!ways.value) return <Bones lines={3} />;
  const redirects = ways.value.filter((w) => w.redirect), passwords = ways.value.filter((w) => w.password);
  if (ways.value.length === 0) return <Note kind="bad" title={t.signIn.none}>{t.signIn.noneText}</Note>;
  return (
    <>
      {redirects.map((w, i) => (
        <Button key={w.name} kind={i === 0 ? "main" : undefined} icon="key-round" leaves href={redirect(w)}>{t.signIn.with(w.title)}</Button>
      ))}
      {redirects.length > 0 && passwords.length > 0 && (
        <>
          <p class="or">{t.signIn.or}</p>
          <details><summary>{t.signIn.withPassword}</summary><Password of={passwords} done={done} /></details>
        </>
      )}
      {redirects.length === 0 && <Password of={passwords} done={done} main />}
    </>
  );
}

// redirect is where a source's sign-in begins; the browser comes back to the page that is open.
function redirect(w: Way): string {
  const to = new URL(w.redirect!.replace(/^\//, ""), location.origin + base);
  to.searchParams.set("redirect_url", location.pathname + location.search);
  return to.pathname + to.search;
}

function Password({ of, done, main }: { of: Way[]; done?: () => void; main?: boolean }) {
  const form = useForm({ name: "", password: "", domain: "" });
  const { busy, error, run } = useDoing();
  const v = form.values;
  const domains = of.flatMap((w) => w.domains.map((d): [string, string] => [d, `${w.title} (${d})`]));
  const submit = async (e: Event) => {
    e.preventDefault();
    const box = e.currentTarget as HTMLFormElement;
    const empty = box.querySelector<HTMLInputElement>("input:invalid");
    if (empty) return empty.focus();
    const ok = await run(async () => {
      await call("POST /sign-in", { body: { username: v.name.trim(), password: v.password, domain: v.domain } });
      await find();
    });
    if (ok) done?.();
    else box.querySelector<HTMLInputElement>("input[type=password]")!.select();
  };
  return (
    <form class="form" noValidate onSubmit={submit} action={address("POST /sign-in")} method="post">
      <Text form={form} name="name" label={t.signIn.name} autocomplete="username" required focus />
      <Text form={form} name="password" label={t.signIn.password} type="password" autocomplete="current-password" required error={error && said(error, of)} />
      {domains.length > 1 && <Choice form={form} name="domain" label={t.signIn.source} options={[["", t.signIn.anySource], ...domains]} />}
      <Button type="submit" kind={main ? "main" : undefined} busy={busy}>{t.signIn.submit}</Button>
    </form>
  );
}

function said(error: Failure, of: Way[]): string {
  if (error.status !== 401) return error.message;
  return t.signIn.wrong + " " + t.signIn.wrongText(of.flatMap((w) => w.domains.map((d) => `${w.title} (@${d})`)).join(", "));
}

// gated says whether somebody must sign in before there is a page.
export function gated(): boolean {
  return user.value === null && !stranger.value;
}
