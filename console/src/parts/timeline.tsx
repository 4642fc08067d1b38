import { className, classTone, duration } from "../format";
import { spelled } from "./untrusted";
import type { LiveRequest } from "../types";

interface Segment {
  kind: "wait" | "load" | "read" | "answer";
  from: number;
  to: number;
}

/** What happened to a request in which order, in ms since it came. */
export function segments(request: LiveRequest, now: number): Segment[] {
  const end = request.ended ?? Math.max(now - request.arrived, 0);
  if (request.provider !== "rkllm") {
    const first = request.first_token ?? end;
    return [
      { kind: "read", from: 0, to: first },
      { kind: "answer", from: first, to: end },
    ];
  }
  const parts: Segment[] = [];
  let waits = 0;
  for (const { phase, from, to: until } of request.stretches) {
    const to = until ?? end;
    parts.push({ kind: "wait", from: waits, to: from });
    if (phase === "loading") {
      parts.push({ kind: "load", from, to });
    } else {
      const first = Math.min(Math.max(request.first_token ?? to, from), to);
      parts.push({ kind: "read", from, to: first }, { kind: "answer", from: first, to });
    }
    waits = to;
  }
  parts.push({ kind: "wait", from: waits, to: end });
  return parts.filter(({ from, to }) => to > from);
}

/** How long such things took, in ms. */
export function spent(request: LiveRequest, now: number, ...kinds: Segment["kind"][]): number {
  const parts = segments(request, now).filter(({ kind }) => kinds.includes(kind));
  return parts.reduce((sum, { from, to }) => sum + to - from, 0);
}

const ROW = 22;
const MOST_ROWS = 14;
const NAMES = { wait: "waited", load: "loading the model", read: "read the prompt", answer: "answered" };

interface Props {
  requests: LiveRequest[];
  now: number;
  /** How far back it looks, in ms. */
  span: number;
}

/** Who had the NPU and who waited for it: a row for each request, the NPU's own on top. */
export function Timeline({ requests, now, span }: Props) {
  const begin = now - span;
  const inSpan = requests
    .filter((request) => request.arrived + (request.ended ?? Infinity) > begin && request.model !== null)
    .sort((a, b) => b.arrived - a.arrived);
  const shown = inSpan.slice(0, MOST_ROWS).reverse();
  const x = (at: number) => (100 * Math.max(at - begin, 0)) / span;
  const height = ROW * (Math.max(shown.length, 1) + 1);
  const bar = (request: LiveRequest, segment: Segment, y: number) => {
    const left = x(request.arrived + segment.from);
    const width = x(request.arrived + segment.to) - left;
    const kind = `${segment.kind} tone-${classTone(request.class)}`;
    return (
      width > 0 && (
        <rect key={segment.from} class={kind} x={`${left}%`} width={`${Math.max(width, 0.15)}%`} y={y + 4} height={ROW - 8} rx="2">
          <title>{`${className(request.class)}, ${spelled(request.model ?? "")}: ${NAMES[segment.kind]} ${duration(segment.to - segment.from)}`}</title>
        </rect>
      )
    );
  };
  const byNpu = (request: LiveRequest) =>
    request.provider === "rkllm" ? segments(request, now).filter(({ kind }) => kind === "read" || kind === "answer") : [];
  const holder = requests.find((request) => request.phase === "running");
  const waiting = requests.filter((request) => request.phase === "queued").length;
  const summary = `${holder ? `${className(holder.class)} has the NPU` : "The NPU is free"}, ${waiting} waiting.`;
  return (
    <figure class="timeline">
      <svg width="100%" height={height} role="img" aria-label={`Timeline of the last ${duration(span)}. ${summary}`}>
        <rect class="lane" x="0" width="100%" y="0" height={ROW} />
        <text class="lane-name" x="4" y={ROW - 7}>
          NPU
        </text>
        {inSpan.map((request) => (
          <g key={`npu-${request.number}`}>{byNpu(request).map((segment) => bar(request, segment, 0))}</g>
        ))}
        {shown.map((request, row) => (
          <g key={request.number}>{segments(request, now).map((segment) => bar(request, segment, ROW * (row + 1)))}</g>
        ))}
      </svg>
      <div class="axis" aria-hidden="true">
        <span>{duration(span)} ago</span>
        <span>now</span>
      </div>
      <figcaption>
        <span class="key wait">waits</span>
        <span class="key load">loads the model</span>
        <span class="key read">reads the prompt</span>
        <span class="key answer">answers</span>
      </figcaption>
    </figure>
  );
}
