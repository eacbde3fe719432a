// The frame of a project's pages: it finds the project, tells the shell, and says so when there is none.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Project } from "../gen/api";
import { useGet } from "../lib/load";
import { user } from "../lib/session";
import { Bones, Button, Page, Trouble } from "../parts/basic";
import { project as shown } from "../shell/shell";
import { stranger } from "../lib/session";
import { t } from "../text";

interface Props {
  name: string;
  children: (project: Project, again: () => void) => ComponentChildren;
}

export function OfProject({ name, children }: Props) {
  const found = useGet("GET /projects/{project}", { path: { project: name } });
  useEffect(() => {
    if (found.value) shown.value = found.value;
    else if (found.error) shown.value = undefined;
  }, [found.value, found.error]);
  if (found.error && !found.value) {
    return (
      <Page title={name}>
        <div class="body">
          <Trouble error={found.error} again={found.again} />
          {!user.value && <p><Button kind="main" icon="log-in" onClick={() => (stranger.value = false)}>{t.shell.signIn}</Button></p>}
        </div>
      </Page>
    );
  }
  if (!found.value) return <div class="body"><Bones lines={4} /></div>;
  return <>{children(found.value, found.again)}</>;
}
