import type { ComponentChildren } from "preact";

interface Props {
  name: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  children?: ComponentChildren;
}

/** One reading. */
export function Tile({ name, value, note, children }: Props) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd>
        <span class="value">{value}</span>
        {note && <span class="note">{note}</span>}
        {children}
      </dd>
    </div>
  );
}

/** A share of something limited. */
export function Meter({ value, label }: { value: number; label: string }) {
  return <progress class={value > 0.9 ? "meter high" : "meter"} value={Math.min(1, value)} max={1} aria-label={label} />;
}

/** The last values of something, as a line without axes; the number beside it says what they mean. */
export function Sparkline({ values, label }: { values: number[]; label: string }) {
  if (values.length < 2) {
    return <svg class="spark" viewBox="0 0 100 24" aria-hidden="true" />;
  }
  const most = Math.max(...values, Number.EPSILON);
  const step = 100 / (values.length - 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(22 - (20 * value) / most).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(" ")} />
    </svg>
  );
}
