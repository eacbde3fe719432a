// Who may do what in a project.
import { useState } from "preact/hooks";
import type { Member, Project } from "../gen/api";
import { call } from "../lib/api";
import { useList, useLoad } from "../lib/load";
import { may, roleIDs, roleOf } from "../lib/session";
import { Bones, Button, Empty, Icon, Note, Page, Trouble } from "../parts/basic";
import { quoted, ShowCommand } from "../parts/command";
import { Choice, FormDialog, Text, useForm } from "../parts/form";
import { Find, Table, type Column } from "../parts/table";
import { toast } from "../parts/toast";
import { projectHref } from "../shell/nav";
import { OfProject } from "./project-page";
import { t } from "../text";

export function Members({ project: name }: Record<string, string>) {
  return <OfProject name={name}>{(p) => <List project={p} />}</OfProject>;
}

const roleChoices = (["devops-admin", "developer", "viewer"] as const).map((r): [string, string] => [String(roleIDs[r]), `${t.roles[r]}: ${t.members.what[r]}`]);

function List({ project: p }: { project: Project }) {
  const list = useList("GET /projects/{project}/members", { path: { project: p.name } }, { filter: (entityname) => ({ entityname }) });
  const [adding, add] = useState(false);
  const [changing, change] = useState<Member>();
  const [removing, remove] = useState<Member>();
  const can = may("member:manage", p);
  const columns: Column<Member>[] = [
    { title: t.members.name, head: true, cell: (m) => <span class="with"><Icon name={m.entity_type === "g" ? "users" : "user-round"} />{m.entity_name}</span> },
    { title: t.members.kind, cell: (m) => (m.entity_type === "g" ? t.members.group : t.members.user) },
    { title: t.members.role, cell: (m) => t.roles[roleOf(m.role_id)] },
    { title: t.members.id, less: true, cell: (m) => <code>{m.principal}</code> },
  ];
  if (can) {
    columns.push({
      title: t.table.actions, act: true, cell: (m) => (
        <span class="acts">
          <Button small onClick={() => change(m)} label={t.members.changeOf(m.entity_name)}>{t.members.change}</Button>
          <Button small kind="risk" onClick={() => remove(m)} label={t.members.removeAsk(m.entity_name)}>{t.members.remove}</Button>
        </span>
      ),
    });
  }
  const plus = can && <Button kind="main" icon="user-plus" onClick={() => add(true)}>{t.members.add}</Button>;
  return (
    <Page title={t.members.title} intro={t.members.intro} crumbs={[{ text: p.name, href: projectHref(p.name) }]}
      acts={<><ShowCommand lines={[`vic hub member ls ${quoted(p.name)}`, ...(can ? [`vic hub member set ${quoted(p.name)} USER@DOMAIN developer`] : [])]} />{plus}</>}>
      {p.metadata.public === "true" && <div class="body"><Note title={t.members.everybody} /></div>}
      <div class="bar-row"><Find label={t.projects.find} value={list.find} /></div>
      <Table list={list} columns={columns} of={(m) => m.id} label={t.members.title}
        empty={<Empty icon="users" title={t.members.empty} acts={plus}>{t.members.emptyText}</Empty>} />
      {adding && (
        <AddPrincipal title={t.members.add} close={() => add(false)} roles add={async (who, role) => {
          await call("POST /projects/{project}/members", { path: { project: p.name }, body: { principal: who, role_id: role } });
          toast(t.members.added(who));
          list.again();
        }} />
      )}
      {changing && <Change project={p.name} member={changing} close={() => change(undefined)} done={list.again} />}
      {removing && (
        <FormDialog title={t.members.removeAsk(removing.entity_name)} close={() => remove(undefined)} risk submit={t.members.remove} keep={t.members.removeKeep}
          run={async () => {
            await call("DELETE /projects/{project}/members/{member}", { path: { project: p.name, member: removing.id } });
            list.again();
          }}><p>{t.members.removeText}</p></FormDialog>
      )}
    </Page>
  );
}

function Change({ project, member, close, done }: { project: string; member: Member; close: () => void; done: () => void }) {
  const form = useForm({ role: String(member.role_id ?? roleIDs.viewer) });
  const run = async () => {
    await call("PUT /projects/{project}/members/{member}", { path: { project, member: member.id }, body: { role_id: Number(form.values.role) } });
    done();
  };
  return (
    <FormDialog title={t.members.changeOf(member.entity_name)} close={close} submit={t.members.change} run={run}>
      <Choice form={form} name="role" label={t.members.role} options={roleChoices} />
    </FormDialog>
  );
}

interface Found {
  principal: string;
  name: string;
  text: string;
  group: boolean;
}

interface AddProps {
  title: string;
  close: () => void;
  roles?: boolean;
  add: (principal: string, role: number) => Promise<void>;
}

// AddPrincipal searches users and groups in the identity sources, and takes one, or a name as it is written.
export function AddPrincipal({ title, close, roles, add }: AddProps) {
  const form = useForm({ text: "", role: String(roleIDs.developer), chosen: "" });
  const v = form.values, text = v.text.trim();
  const found = useLoad(text ? "who " + text : undefined, async (signal): Promise<Found[]> => {
    await new Promise((r) => setTimeout(r, 200)); // until the typing pauses
    if (signal.aborted) return [];
    const [users, groups] = await Promise.all([
      call("GET /users/search", { query: { username: text, page_size: 8 }, signal }), call("GET /usergroups/search", { query: { groupname: text, page_size: 8 }, signal }),
    ]);
    return [
      ...users.value.map((u) => ({ principal: u.principal, name: u.username, text: u.realname, group: false })),
      ...groups.value.map((g) => ({ principal: g.principal, name: g.group_name, text: "", group: true })),
    ];
  });
  const who = v.chosen || text;
  return (
    <FormDialog title={title} close={close} submit={title} run={() => add(who, Number(v.role))}>
      <Text form={form} name="text" label={t.members.search} hint={t.members.searchHint} required focus />
      {text && found.error && <Trouble error={found.error} />}
      {text && !found.value && !found.error && <Bones lines={2} />}
      {text && found.value && (
        <fieldset class="found"><legend class="off">{t.members.found}</legend>
          {found.value.map((f) => (
            <label key={f.principal} class="check">
              <input type="radio" name="who" checked={v.chosen === f.principal} onChange={() => form.set({ chosen: f.principal })} />
              <Icon name={f.group ? "users" : "user-round"} /><span>{f.name} <span class="soft">{f.text} {f.principal}</span></span>
            </label>
          ))}
          {found.value.length === 0 && <p class="hint">{t.members.nothing}</p>}
        </fieldset>
      )}
      {roles && <Choice form={form} name="role" label={t.members.role} options={roleChoices} />}
    </FormDialog>
  );
}
