// English. Whoever translates the portal translates this folder: each text is once in it, with what changes as parameters.
import { admin } from "./en-admin";
import { policies } from "./en-policies";
import { live } from "./en-live";
import { project } from "./en-project";
import { registry } from "./en-registry";
import { shell } from "./en-shell";

export const en = { ...shell, ...project, ...policies, ...registry, ...admin, ...live };
