// One's own account: sessions, the secret for docker, the password.
import { useState } from "preact/hooks";
import type { Session } from "../gen/api";
import { call } from "../lib/api";
import { known, when } from "../lib/format";
import { useGet } from "../lib/load";
import { find, isAdmin, signOut, user } from "../lib/session";
import { Bones, Button, KV, Note, Page, Section, State, Time, Trouble } from "../parts/basic";
import { Code, host } from "../parts/command";
import { FormDialog, Text, useDoing, useForm } from "../parts/form";
import { toast } from "../parts/toast";
import { t } from "../text";

export function Account() {
  const u = user.value;
  const sessions = useGet("GET /users/current/sessions");
  const [changing, change] = useState(false);
  const { busy, error, run } = useDoing();
  if (!u) return <Page title={t.account.title}><div class="body"><Note title={t.shell.stranger} /></div></Page>;
  const end = (query: Record<string, boolean>) => run(async () => {
    await call("DELETE /users/current/sessions", { query });
    if (query.others) {
      toast(t.account.ended);
      sessions.again();
    } else await signOut();
  });
  const endOne = async (s: Session) => {
    await call("DELETE /users/current/sessions/{session}", { path: { session: s.id } }).catch((e) => toast(e.message));
    sessions.again();
  };
  return (
    <Page title={t.account.title} intro={t.account.intro(u.principal, u.source ?? "")} state={isAdmin.value && <State kind="wait" icon="shield">{t.account.admin}</State>}
      acts={<Button icon="lock" onClick={() => change(true)}>{t.account.passwordChange}</Button>}>
      <div class="body cols">
        <div class="stack">
          <Section title={t.account.sessions} about={t.account.sessionsAbout}>
            {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
            {sessions.error ? <Trouble error={sessions.error} again={sessions.again} /> : sessions.value ? <SessionTable of={sessions.value} end={endOne} /> : <Bones />}
            <p class="run-row">
              <Button busy={busy} icon="log-out" onClick={() => void end({ others: true })}>{t.account.endOthers}</Button>
              <Button busy={busy} kind="risk" icon="log-out" onClick={() => void end({})}>{t.account.endAll}</Button>
            </p>
          </Section>
        </div>
        <div class="stack">
          <Section title={t.project.facts}>
            <KV of={[[t.members.name, u.username], [t.people.realname, u.realname], [t.people.email, u.email], [t.members.id, <code>{u.principal}</code>], [t.people.source, u.source]]} />
          </Section>
          <Secret />
        </div>
      </div>
      {changing && <Password close={() => change(false)} />}
    </Page>
  );
}

// browser is a short name for what a browser calls itself.
function browser(agent: string): string {
  const name = /(Edg|Firefox|Chrome|Safari|curl|docker|Go-http-client|vic)[\/ ]([\d.]+)/.exec(agent);
  const system = /Windows|Mac OS X|Android|iPhone|Linux/.exec(agent)?.[0] ?? "";
  return name ? `${name[1] === "Edg" ? "Edge" : name[1]} ${name[2].split(".")[0]}${system && ", " + system}` : agent || "–";
}

export function SessionTable({ of, end }: { of: Session[]; end?: (s: Session) => void }) {
  if (of.length === 0) return <p class="soft">{t.account.noSession}</p>;
  return (
    <div class="panel"><table class="grid cards" aria-label={t.account.sessions}>
      <thead><tr><th scope="col">{t.account.browser}</th><th scope="col">{t.account.address}</th><th scope="col">{t.account.began}</th><th scope="col">{t.account.seen}</th>
        {end && <th scope="col" class="more"><span class="off">{t.table.actions}</span></th>}</tr></thead>
      <tbody>{of.map((s) => (
        <tr key={s.id}><th scope="row" title={s.agent}>{browser(s.agent)} {s.current && <State kind="done">{t.account.current}</State>}</th>
          <td data-l={t.account.address}>{s.address}</td><td data-l={t.account.began}><Time at={s.began} /></td><td data-l={t.account.seen}><Time at={s.seen} /></td>
          {end && <td class="more">{!s.current && <Button small label={t.account.endThis(browser(s.agent))} onClick={() => end(s)}>{t.account.end}</Button>}</td>}</tr>
      ))}</tbody>
    </table></div>
  );
}

function Secret() {
  const u = user.value!, meta = u.oidc_user_meta;
  const [secret, tell] = useState("");
  const { busy, error, run } = useDoing();
  if (!meta) return null;
  const made = known(meta.creation_time);
  return (
    <Section title={t.account.secret}>
      <div class="steps">
        <p class="soft">{t.account.secretAbout}</p>
        {made && <p>{t.account.secretMade(when(meta.creation_time))} {known(meta.last_used) && t.account.secretUsed(when(meta.last_used))}</p>}
        {secret && <><Note kind="warn" title={t.account.secretShown} /><Code label={t.account.secret} lines={[secret]} />
          <Code label={t.home.stepLogin} lines={[`docker login -u ${u.username} ${host()}`]} /></>}
        {error && <Note kind="bad" title={t.errors.refused}>{error.message}</Note>}
        <p class="acts">
          <Button busy={busy} icon="key-round" onClick={() => void run(async () => {
            tell((await call("PUT /users/{user}/cli_secret", { path: { user: u.user_id }, body: {} })).value.secret);
            await find();
          })}>{made ? t.account.secretAgain : t.account.secretMake}</Button>
          {made && <Button busy={busy} kind="risk" onClick={() => void run(async () => {
            await call("DELETE /users/{user}/cli_secret", { path: { user: u.user_id } });
            tell("");
            await find();
          })}>{t.account.secretEnd}</Button>}
        </p>
      </div>
    </Section>
  );
}

function Password({ close }: { close: () => void }) {
  const form = useForm({ old: "", fresh: "" });
  return (
    <FormDialog title={t.account.passwordChange} close={close} submit={t.account.passwordChange} run={async () => {
      await call("PUT /users/{user}/password", { path: { user: user.value!.user_id }, body: { old_password: form.values.old, new_password: form.values.fresh } });
      toast(t.account.passwordDone);
    }}>
      <Text form={form} name="old" label={t.account.passwordOld} type="password" autocomplete="current-password" required focus />
      <Text form={form} name="fresh" label={t.account.passwordNew} type="password" autocomplete="new-password" required hint={t.account.passwordHint} />
    </FormDialog>
  );
}
