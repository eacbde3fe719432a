// Which page is shown at which address.
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { href, match, where } from "./lib/router";
import { find, stranger, trouble, user } from "./lib/session";
import { Button, Empty, Page, Trouble } from "./parts/basic";
import { Help, useKeys } from "./shell/keys";
import { Palette } from "./shell/palette";
import { project, Shell } from "./shell/shell";
import { gated, SignIn, SignInAgain } from "./pages/sign-in";
import { pages } from "./pages/pages";
import { t } from "./text";

function Missing() {
  return (
    <Page title={t.shell.missing}>
      <Empty icon="circle-help" title={where.value.path} acts={<Button href={href("/")}>{t.shell.home}</Button>}>{t.shell.missingText}</Empty>
    </Page>
  );
}

function open(path: string): [ComponentType<Record<string, string>>, Record<string, string>] {
  for (const [pattern, page] of pages) {
    const params = match(pattern, path);
    if (params) return [page, params];
  }
  return [Missing, {}];
}

export function App() {
  useKeys();
  useEffect(() => void find(), []);
  const path = where.value.path;
  const inProject = path.startsWith("/projects/");
  useEffect(() => {
    if (!inProject) project.value = undefined;
  }, [inProject]);
  if (trouble.value && user.value === undefined) {
    return <div class="gate"><main><Trouble error={trouble.value} again={() => void find()} /></main></div>;
  }
  if (user.value === undefined) return null;
  if (gated()) return <SignIn />;
  const [Open, params] = open(path);
  return (
    <>
      <Shell><Open key={(user.value?.user_id ?? 0) + String(stranger.value)} {...params} /></Shell>
      <Palette /><Help /><SignInAgain />
    </>
  );
}
