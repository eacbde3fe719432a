// Schedules: six fields of cron, in UTC.
import { t } from "../text";

export const crons = ["0 0 * * * *", "0 0 0 * * *", "0 0 3 * * *", "0 0 0 * * 0"];

// cronText says when a schedule begins, for those that have a word.
export function cronText(cron: string): string {
  const hourly = /^0 (\d+) \* \* \* \*$/.exec(cron);
  return cron === "" ? t.schedule.byHand : t.schedule.words[cron] ?? (hourly ? t.schedule.hourly(hourly[1]) : t.schedule.custom(cron));
}
