import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { bytes, count, duration, median, megahertz, percent, speed, time } from "../format";
import { useLive, type Live } from "../live";
import { ClassMark } from "../parts/class-mark";
import { Copyable } from "../parts/copy";
import { Notice } from "../parts/notice";
import { Table, type Column } from "../parts/table";
import { Meter, Sparkline, Tile } from "../parts/tile";
import { Timeline, spent } from "../parts/timeline";
import { spelled, Untrusted } from "../parts/untrusted";
import type { LiveRequest, State } from "../types";

const SPANS = [
  [60_000, "1 min"],
  [300_000, "5 min"],
  [1_800_000, "30 min"],
] as const;

export function LivePage() {
  const live = useLive();
  const [span, setSpan] = useState<number>(SPANS[0][0]);
  const now = useNow(live.running.length > 0 ? 250 : 2000) - live.skew;
  const requests = [...live.running].reverse().concat(live.ended);
  return (
    <>
      <Readings live={live} now={now} />
      <section aria-labelledby="timeline">
        <div class="section-head">
          <h2 id="timeline">NPU timeline</h2>
          <div class="choice" role="group" aria-label="How far back">
            {SPANS.map(([value, name]) => (
              <button key={value} type="button" aria-pressed={span === value} onClick={() => setSpan(value)}>
                {name}
              </button>
            ))}
          </div>
        </div>
        <Timeline requests={requests} now={now} span={span} />
      </section>
      <section aria-labelledby="requests">
        <h2 id="requests">Requests</h2>
        <Table
          label="Requests, newest first"
          columns={columns(now)}
          rows={requests}
          rowKey={(request) => request.number}
          rowClass={(request) => (request.phase === "ended" ? undefined : "in-progress")}
          empty={<NoRequests />}
        />
      </section>
    </>
  );
}

/** The time, looked at anew every so many ms. */
function useNow(every: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** Tokens per second of the answer, once two or more have come. */
export function decodeSpeed(request: LiveRequest, now: number): number | null {
  const writing = request.first_token === null ? 0 : spent(request, now, "answer");
  return request.completion_tokens > 1 && writing > 0 ? (1000 * (request.completion_tokens - 1)) / writing : null;
}

/** Fewer tokens than these tell the time of starting to read rather than that of reading. */
const READ_TOKENS = 64;

/** Tokens per second of reading the prompt, less what was in the KV cache; known at the end. */
export function prefillSpeed({ prompt_tokens, cached_tokens, prefill }: LiveRequest): number | null {
  const read = (prompt_tokens ?? 0) - (cached_tokens ?? 0);
  return prefill && read >= READ_TOKENS ? (1000 * read) / prefill : null;
}

/** How long it has waited for the NPU, in ms; nothing where it does not go there. */
function waited(request: LiveRequest, now: number): number | null {
  return request.provider === "rkllm" ? spent(request, now, "wait", "load") : null;
}

function Readings({ live, now }: { live: Live; now: number }) {
  const { running, ended, board, engine } = live;
  const holder = running.find((request) => request.phase === "running");
  const waiting = running.filter((request) => request.phase === "queued");
  const answered = ended.filter((request) => request.status === 200 && request.provider === "rkllm");
  const firsts = answered.slice(0, 30).flatMap((request) => request.first_token ?? []);
  const speeds = answered.slice(0, 30).flatMap((request) => decodeSpeed(request, now) ?? []);
  const ttft = median(firsts);
  const counters = engine?.counters;
  const used = engine?.workers.reduce((sum, worker) => sum + (worker.memory_bytes ?? 0), 0) ?? 0;
  const loaded = engine?.workers.filter((worker) => worker.loaded) ?? [];
  return (
    <dl class="tiles">
      <Tile
        name="NPU"
        value={holder ? speed(decodeSpeed(holder, now)) : "idle"}
        note={holder ? <ClassMark name={holder.class} /> : loaded.length > 0 ? "model loaded" : "no model loaded"}
      />
      <Tile name="Queue" value={count(waiting.length)} note={waiting.length > 0 ? "waiting" : "nobody waits"} />
      <Tile name="Speed" value={speed(median(speeds))} note={`median of ${speeds.length}`}>
        <Sparkline values={speeds.toReversed()} label="Speed of the last answers" />
      </Tile>
      <Tile name="First token" value={duration(ttft)} note={`median of ${firsts.length}`}>
        <Sparkline values={firsts.toReversed()} label="Time to the first token of the last answers" />
      </Tile>
      <Tile
        name="KV reuse"
        value={counters ? percent(counters.cached_tokens, counters.prompt_tokens) : "–"}
        note="of prompt tokens"
      >
        {counters && counters.prompt_tokens > 0 && (
          <Meter value={counters.cached_tokens / counters.prompt_tokens} label="Share of prompt tokens that were reused" />
        )}
      </Tile>
      {engine && (
        <Tile name="Models in RAM" value={bytes(used)} note={`of ${bytes(engine.memory_budget_bytes)}`}>
          <Meter value={used / engine.memory_budget_bytes} label="Share of the models' memory budget in use" />
        </Tile>
      )}
      {board?.memory_bytes && board.memory_available_bytes !== null && (
        <Tile name="RAM" value={bytes(board.memory_bytes - board.memory_available_bytes)} note={`of ${bytes(board.memory_bytes)}`}>
          <Meter value={1 - board.memory_available_bytes / board.memory_bytes} label="Share of main memory in use" />
        </Tile>
      )}
      {board?.npu_load_percent && (
        <Tile name="NPU load" value={board.npu_load_percent.map((load) => `${load} %`).join(" ")} note="by core" />
      )}
      {board?.npu_clock && (
        <Tile name="NPU clock" value={megahertz(board.npu_clock.hertz)} note={board.npu_clock.governor} />
      )}
      {board?.ddr_clock && (
        <Tile name="DDR clock" value={megahertz(board.ddr_clock.hertz)} note={board.ddr_clock.governor} />
      )}
      {board && board.temperatures.length > 0 && (
        <Tile
          name="Temperature"
          value={`${Math.max(...board.temperatures.map(({ celsius }) => celsius)).toFixed(0)} °C`}
          note="warmest zone"
        />
      )}
    </dl>
  );
}

/** Where a request is, in words. */
function whereabouts(request: LiveRequest): string {
  switch (request.phase) {
    case "arrived":
      return "being read";
    case "queued":
      return request.ahead === null || request.ahead === 0 ? "next in the queue" : `${request.ahead} ahead`;
    case "loading":
      return "loading the model";
    case "running":
      return request.first_token === null ? "reading the prompt" : "answering";
    case "relayed":
      return `at ${request.provider}`;
    case "ended":
      return request.status === 499 ? "client left" : (request.failure ?? (request.status === null ? "cut off" : "answered"));
  }
}

function columns(now: number): Column<LiveRequest>[] {
  const total = (request: LiveRequest) => request.ended ?? now - request.arrived;
  return [
    {
      name: "Time",
      cell: (it) => (it.phase === "ended" ? <a href={`/log/request/${encodeURIComponent(it.id)}`}>{time(it.arrived)}</a> : time(it.arrived)),
      sort: (it) => it.arrived,
    },
    { name: "Class", cell: (it) => <ClassMark name={it.class} />, sort: (it) => it.class },
    { name: "Model", cell: (it) => <Untrusted text={it.model ?? "–"} />, sort: (it) => it.model },
    {
      name: "State",
      cell: (it) => (
        <span class={it.failure ? "state bad" : "state"} title={it.failure === null ? undefined : spelled(it.failure)}>
          {it.status !== null && it.status !== 200 && it.status !== 499 ? `${it.status}: ` : ""}
          <Untrusted text={whereabouts(it)} />
        </span>
      ),
    },
    { name: "Waited", cell: (it) => duration(waited(it, now)), sort: (it) => waited(it, now), numeric: true, minor: true },
    { name: "First token", cell: (it) => duration(it.first_token), sort: (it) => it.first_token, numeric: true },
    { name: "Prompt", cell: (it) => count(it.prompt_tokens), sort: (it) => it.prompt_tokens, numeric: true, minor: true },
    {
      name: "Reused",
      cell: (it) => (it.cached_tokens === null || !it.prompt_tokens ? "–" : percent(it.cached_tokens, it.prompt_tokens)),
      sort: (it) => it.cached_tokens,
      numeric: true,
      minor: true,
    },
    { name: "Answer", cell: (it) => count(it.completion_tokens), sort: (it) => it.completion_tokens, numeric: true },
    { name: "Speed", cell: (it) => speed(decodeSpeed(it, now)), sort: (it) => decodeSpeed(it, now), numeric: true },
    { name: "Total", cell: (it) => duration(total(it)), sort: total, numeric: true, minor: true },
  ];
}

function NoRequests() {
  const [state, setState] = useState<State | null>(null);
  useEffect(() => {
    get<State>("/api/state").then(setState, () => {});
  }, []);
  const ask = `curl ${state?.api ?? ""}/v1/chat/completions -H 'content-type: application/json' -d '{"model": "qwen3-1.7b", "messages": [{"role": "user", "content": "What is a reverse proxy?"}]}'`;
  return (
    <Notice kind="empty" title="No request yet">
      <p>
        <a href="/setup">Connect Open WebUI</a>, or ask something yourself:
      </p>
      {state && <Copyable text={ask} label="a first request" />}
    </Notice>
  );
}
