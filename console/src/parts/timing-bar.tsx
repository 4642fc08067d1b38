import { duration } from "../format";
import type { Logged } from "../types";

interface Part {
  kind: "wait" | "read" | "answer";
  name: string;
  ms: number;
}

/** Where the time of a request went. */
export function TimingBar({ request }: { request: Logged }) {
  const { queued_ms: queued, first_token_ms: first, total_ms: total } = request.timings;
  const begun = queued ?? 0;
  // What is answered in one piece has no first token.
  const answered = first ?? (request.status < 400 ? begun : total);
  const parts: Part[] = [
    { kind: "wait", name: "waited for the NPU and the model", ms: begun },
    { kind: "read", name: reading(request), ms: Math.max(answered - begun, 0) },
    { kind: "answer", name: "answered", ms: Math.max(total - answered, 0) },
  ];
  const shown = parts.filter(({ ms }) => ms > 0);
  const told = shown.map(({ name, ms }) => `${name} ${duration(ms)}`).join(", ");
  let from = 0;
  return (
    <figure class="timings">
      <svg width="100%" height="22" role="img" aria-label={`${duration(total)}: ${told}`} class="tone-chat">
        {shown.map(({ kind, name, ms }) => {
          const [x, width] = [(100 * from) / total, (100 * ms) / total];
          from += ms;
          return (
            <rect key={kind} class={kind} x={`${x}%`} width={`${width}%`} y="1" height="20" rx="2">
              <title>{`${name} ${duration(ms)}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption>
        {shown.map(({ kind, name, ms }) => (
          <span key={kind} class={`key ${kind}`}>
            {name} {duration(ms)}
          </span>
        ))}
        <span>in all {duration(total)}</span>
      </figcaption>
    </figure>
  );
}

function reading({ provider, timings }: Logged): string {
  if (timings.first_token_ms === null) {
    return "ended without an answer after";
  }
  return provider === "rkllm" ? "read the prompt" : "waited for the first byte";
}
