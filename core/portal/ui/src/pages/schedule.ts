// Schedules: six fields of cron, in UTC.
import { t } from "../text";

export const crons = ["0 0 * * * *", "0 0 0 * * *", "0 0 3 * * *", "0 0 0 * * 0"];

// cronText says when a schedule begins, for those that have a word.
export function cronText(cron: string): string {
  return cron === "" ? t.schedule.byHand : t.schedule.words[cron] ?? t.schedule.custom(cron);
}
