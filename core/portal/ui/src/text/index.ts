// The texts of the portal. A translation is another object of the same type, chosen here.
import { en } from "./en";

export type Texts = typeof en;

export const t: Texts = en;
