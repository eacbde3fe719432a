// Who is signed in, and what they may do. The server decides; this only says what is worth showing.
import { computed, signal } from "@preact/signals";
import type { Project, SystemInfo, User } from "../gen/api";
import { call, Failure } from "./api";

// user is undefined until it is known, and null for nobody.
export const user = signal<User | null | undefined>(undefined);

// stranger says that somebody looks at public projects without signing in.
export const stranger = signal(false);

export const system = signal<SystemInfo | undefined>(undefined);

export const trouble = signal<Failure | undefined>(undefined);

// find asks who is signed in.
export async function find() {
  try {
    const [who, info] = await Promise.all([
      call("GET /users/current").catch((e) => {
        if (e instanceof Failure && e.status === 401) return { value: null };
        throw e;
      }),
      call("GET /systeminfo"),
    ]);
    system.value = info.value;
    user.value = who.value;
    trouble.value = undefined;
  } catch (e) {
    trouble.value = e as Failure;
  }
}

export async function signOut() {
  const { value } = await call("POST /sign-out");
  user.value = null;
  stranger.value = false;
  if (value.logout_url) location.assign(value.logout_url);
}

export type Role = "none" | "viewer" | "developer" | "devops-admin" | "cloud-admin";

export const roles: Role[] = ["none", "viewer", "developer", "devops-admin", "cloud-admin"];

// least is the lowest role that has a permission, as in core/hub/role: a Go test compares the two.
export const least = {
  "member:list": "viewer",
  "repository:push": "developer",
  "container:read": "developer",
  "container:operate": "developer",
  "artifact:delete": "devops-admin",
  "scan:create": "devops-admin",
  "project:update": "devops-admin",
  "notification-policy:manage": "devops-admin",
  "robot:manage": "devops-admin",
  "member:manage": "devops-admin",
  "log:list": "devops-admin",
  "project:delete": "cloud-admin",
  "project:create": "cloud-admin",
  "quota:manage": "cloud-admin",
  "host:manage": "cloud-admin",
  "registry:manage": "cloud-admin",
  "configuration:manage": "cloud-admin",
  "garbage-collection:manage": "cloud-admin",
  "system-log:list": "cloud-admin",
  "system-robot:manage": "cloud-admin",
  "cloud-admin:manage": "cloud-admin",
} as const satisfies Record<string, Role>;

export type Permission = keyof typeof least;

export const isAdmin = computed(() => user.value?.sysadmin_flag ?? false);

const ofHarbor: Record<number, Role> = { 1: "devops-admin", 2: "developer", 3: "viewer" };

// roleOf is the role of a number of the API.
export function roleOf(id: number | undefined): Role {
  return ofHarbor[id ?? 0] ?? "none";
}

export const roleIDs: Record<string, number> = { "devops-admin": 1, developer: 2, viewer: 3 };

// roleIn is the caller's role in a project.
export function roleIn(project: Project | undefined): Role {
  if (isAdmin.value) return "cloud-admin";
  return roleOf(project?.current_user_role_id);
}

// may says whether the caller has a permission, in a project or, without one, in the whole hub.
export function may(permission: Permission, project?: Project): boolean {
  return roles.indexOf(roleIn(project)) >= roles.indexOf(least[permission]);
}
