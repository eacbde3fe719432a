// Users, groups and cloud administrators, for cloud administrators.
import { useState } from "preact/hooks";
import type { Group, Member, User } from "../gen/api";
import { call } from "../lib/api";
import { useGet, useList } from "../lib/load";
import { href, where } from "../lib/router";
import { user } from "../lib/session";
import { Bones, Button, Empty, Icon, Note, Page, Section, State, Tabs, Trouble } from "../parts/basic";
import { ShowCommand } from "../parts/command";
import { Dialog, FormDialog, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { AddPrincipal } from "./members";
import { SessionTable } from "./account";
import { t } from "../text";

export function People() {
  const tab = where.value.query.get("tab") ?? "";
  const [open, set] = useState<"user" | "admin">();
  const [turn, next] = useState(0);
  const to = (key: string) => ({ href: href("/people", { tab: key }), here: tab === key });
  return (
    <Page title={t.admin.people.title} intro={t.people.intro} acts={<>
      <ShowCommand lines={["vic hub user ls", "vic hub user ls --search NAME", "vic hub admin ls", "vic hub admin add USER@DOMAIN"]} />
      {tab === "admins" ? <Button kind="main" icon="shield" onClick={() => set("admin")}>{t.people.addAdmin}</Button>
        : tab === "" && <Button kind="main" icon="user-plus" onClick={() => set("user")}>{t.people.makeUser}</Button>}
    </>} tabs={<Tabs label={t.admin.people.title} tabs={[{ text: t.people.users, ...to("") }, { text: t.people.groups, ...to("groups") }, { text: t.people.admins, ...to("admins") }]} />}>
      {tab === "groups" ? <Groups /> : tab === "admins" ? <Admins key={turn} /> : <Users key={turn} />}
      {open === "user" && <MakeUser close={() => set(undefined)} done={() => next(turn + 1)} />}
      {open === "admin" && (
        <AddPrincipal title={t.people.addAdmin} close={() => set(undefined)} add={async (who) => {
          await call("POST /cloud-admins", { body: { principal: who } });
          toast(t.people.isAdmin(who));
          next(turn + 1);
        }} />
      )}
    </Page>
  );
}

function Users() {
  const list = useList("GET /users", {}, { sort: "username", filter: (text) => ({ q: "username=~" + text }) });
  const [sessions, show] = useState<User>();
  const [password, change] = useState<User>();
  const [removing, remove] = useState<User>();
  const columns: Column<User>[] = [
    { title: t.members.name, sort: "username", head: true, cell: (u) => <>{u.username}{u.realname && <span class="under soft small">{u.realname}</span>}</> },
    { title: t.vchs.state, cell: (u) => <span class="states">{u.sysadmin_flag && <State kind="wait" icon="shield">{t.account.admin}</State>}
      {u.disabled ? <State kind="stop">{t.people.disabled}</State> : !u.sysadmin_flag && <State kind="done">{t.people.active}</State>}</span> },
    { title: t.people.source, cell: (u) => u.source ?? "" },
    { title: t.members.id, fill: true, cell: (u) => <code>{u.principal}</code> },
    {
      title: t.table.actions, act: true, cell: (u) => (
        <span class="acts">
          <Button small label={t.people.sessionsOf(u.username)} onClick={() => show(u)}>{t.account.sessions}</Button>
          <Button small label={t.people.passwordOf(u.username)} onClick={() => change(u)}>{t.account.password}</Button>
          <Button small kind="risk" label={t.people.removeAsk(u.username)} why={u.user_id === user.value?.user_id ? t.people.notYourself : undefined}
            onClick={() => remove(u)}>{t.form.remove}</Button>
        </span>
      ),
    },
  ];
  return (
    <>
      <div class="bar-row under"><Find label={t.projects.find} value={list.find} /></div>
      <Table list={list} columns={columns} of={(u) => u.user_id} label={t.people.users} />
      {sessions && <Sessions user={sessions} close={() => show(undefined)} />}
      {password && <Password user={password} close={() => change(undefined)} />}
      {removing && (
        <FormDialog title={t.people.removeAsk(removing.username)} close={() => remove(undefined)} risk submit={t.form.remove} run={async () => {
          await call("DELETE /users/{user}", { path: { user: removing.user_id } });
          list.again();
        }}><p>{t.people.removeText}</p></FormDialog>
      )}
    </>
  );
}

function Sessions({ user: u, close }: { user: User; close: () => void }) {
  const list = useGet("GET /users/{user}/sessions", { path: { user: u.user_id } });
  return (
    <Dialog title={t.people.sessionsOf(u.username)} close={close} wide footer={
      <><Button onClick={close}>{t.form.close}</Button><Button kind="risk" onClick={async () => {
        await call("DELETE /users/{user}/sessions", { path: { user: u.user_id } }).then(() => toast(t.people.sessionsEnded(u.username)), (e) => toast(e.message));
        list.again();
      }}>{t.people.endSessions}</Button></>
    }>
      <div>{list.error ? <Trouble error={list.error} again={list.again} /> : list.value ? <SessionTable of={list.value} /> : <Bones />}</div>
    </Dialog>
  );
}

function Password({ user: u, close }: { user: User; close: () => void }) {
  const form = useForm({ password: "" });
  return (
    <FormDialog title={t.people.passwordOf(u.username)} close={close} submit={t.account.passwordChange} run={async () => {
      await call("PUT /users/{user}/password", { path: { user: u.user_id }, body: { new_password: form.values.password } });
      toast(t.form.saved);
    }}><p class="soft">{t.people.passwordText}</p>
      <Text form={form} name="password" label={t.account.passwordNew} type="password" autocomplete="new-password" required focus /></FormDialog>
  );
}

function MakeUser({ close, done }: { close: () => void; done: () => void }) {
  const form = useForm({ username: "", realname: "", email: "", password: "" });
  return (
    <FormDialog title={t.people.makeUser} close={close} submit={t.people.makeUser} run={async () => {
      await call("POST /users", { body: { ...form.values, username: form.values.username.trim() } });
      done();
    }}>
      <p class="soft">{t.people.makeText}</p>
      <div class="two"><Text form={form} name="username" label={t.members.name} required focus /><Text form={form} name="realname" label={t.people.realname} optional /></div>
      <div class="two"><Text form={form} name="email" label={t.people.email} optional />
        <Text form={form} name="password" label={t.account.password} type="password" autocomplete="new-password" required hint={t.account.passwordHint} /></div>
    </FormDialog>
  );
}

function Groups() {
  const list = useList("GET /usergroups", {}, { filter: (group_name) => ({ group_name }) });
  const columns: Column<Group>[] = [
    { title: t.members.name, head: true, cell: (g) => <span class="with"><Icon name="users" />{g.group_name}</span> },
    { title: t.members.id, fill: true, cell: (g) => <code>{g.principal}</code> },
  ];
  return (
    <>
      <div class="bar-row under"><Find label={t.projects.find} value={list.find} /></div>
      <Table list={list} columns={columns} of={(g) => g.id} label={t.people.groups} empty={<Empty icon="users" title={t.people.noGroup}>{t.people.noGroupText}</Empty>} />
    </>
  );
}

function Admins() {
  const list = useGet("GET /cloud-admins");
  const [removing, remove] = useState<Member>();
  if (list.error) return <div class="body under"><Trouble error={list.error} again={list.again} /></div>;
  if (!list.value) return <div class="body under"><Bones /></div>;
  const only = list.value.length === 1;
  return (
    <div class="body under">
      <Section title={t.people.admins} about={list.value.length}>
        {only && <Note kind="warn" title={t.people.lastAdmin}>{t.people.lastAdminText}</Note>}
        <ul class="list panel admins">{list.value.map((m) => (
          <li key={m.principal}><Icon name={m.entity_type === "g" ? "users" : "user-round"} /><div><strong>{m.entity_name}</strong>
            <p>{m.entity_type === "g" ? t.members.group : t.members.user}, <code>{m.principal}</code></p></div>
            <div class="end"><Button small kind="risk" label={t.people.revokeAsk(m.entity_name)} why={only ? t.people.lastAdmin : undefined}
              onClick={() => remove(m)}>{t.people.revoke}</Button></div></li>
        ))}</ul>
      </Section>
      {removing && (
        <FormDialog title={t.people.revokeAsk(removing.entity_name)} close={() => remove(undefined)} risk submit={t.people.revoke} keep={t.people.revokeKeep} run={async () => {
          await call("DELETE /cloud-admins/{principal}", { path: { principal: removing.principal } });
          list.again();
        }}><p>{removing.principal === user.value?.principal ? t.people.revokeSelf : t.people.revokeText}</p></FormDialog>
      )}
    </div>
  );
}
