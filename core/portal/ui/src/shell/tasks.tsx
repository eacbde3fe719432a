// The task panel: what was begun in the last day, how it goes, why it failed. Closed, it still counts.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Icon } from "../parts/basic";
import { t } from "../text";

const narrow = matchMedia("(max-width: 52rem)");

export const tasksOpen = signal(false);

export function Tasks() {
  useEffect(() => {
    if (narrow.matches) tasksOpen.value = false;
  }, []);
  return (
    <details class="tasks" open={tasksOpen.value} onToggle={(e) => (tasksOpen.value = e.currentTarget.open)}>
      <summary><Icon name="chevron-up" class="turn" />{t.tasks.title}<span class="end">{t.tasks.about}</span></summary>
    </details>
  );
}
