import type { ComponentChildren } from "preact";

interface Props {
  kind: "empty" | "ok" | "warn" | "bad";
  title: string;
  children?: ComponentChildren;
}

/** Something to be told, or an empty place and what to do about it. */
export function Notice({ kind, title, children }: Props) {
  return (
    <div class={`notice ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      <p class="notice-title">{title}</p>
      {children}
    </div>
  );
}
