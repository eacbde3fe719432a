// Toasts tell of what the user did here and cannot see otherwise. They are never the only place of an error.
import { signal } from "@preact/signals";

const toasts = signal<{ id: number; text: string }[]>([]);
let last = 0;

export function toast(text: string) {
  const id = ++last;
  toasts.value = [...toasts.value, { id, text }];
  setTimeout(() => (toasts.value = toasts.value.filter((x) => x.id !== id)), 6000);
}

export function Toasts() {
  return <div class="toasts" role="status">{toasts.value.map((x) => <div key={x.id} class="toast">{x.text}</div>)}</div>;
}
