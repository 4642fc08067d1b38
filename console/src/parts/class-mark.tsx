import { className, classTone } from "../format";

/** What a request is for. */
export function ClassMark({ name }: { name: string }) {
  return (
    <span class={`class-mark tone-${classTone(name)}`} title={name}>
      {className(name)}
    </span>
  );
}
