import { className, classTone, count, duration, percent, speed } from "../format";
import { Chart, type Layer } from "../parts/chart";
import { Table } from "../parts/table";
import { ClassMark } from "../parts/class-mark";
import { Untrusted } from "../parts/untrusted";
import type { Bucket, Series } from "../types";

const short = (value: number): string => (value >= 10_000 ? `${Math.round(value / 1000)} k` : count(Math.round(value)));

/** Spans of a chart at least: a log that has just begun is not one broad bar. */
const FEWEST_SPANS = 30;

/** Classes, latency, tokens and reuse over time. */
export function LogCharts({ series }: { series: Series }) {
  const { step, buckets, groups } = series;
  const missing = Math.max(FEWEST_SPANS - buckets.length, 0);
  const start = series.start - missing * step;
  const before = Array<null>(missing).fill(null);
  const sum = (of: (group: Series["groups"][number]) => number) => groups.reduce((sum, group) => sum + of(group), 0);
  const layer = (name: string, tone: string, value: (bucket: Bucket) => number | null): Layer => ({
    name,
    tone,
    values: [...before, ...buckets.map(value)],
  });
  const [prompt, cached, completion] = [sum((it) => it.prompt_tokens), sum((it) => it.cached_tokens), sum((it) => it.completion_tokens)];
  const common = { start, step };
  return (
    <section aria-labelledby="charts">
      <h2 id="charts" class="visually-hidden">
        Over time
      </h2>
      <div class="charts" role="region" aria-label="Charts" tabIndex={0}>
        <Chart
          {...common}
          title="Requests"
          summary={`${count(sum((it) => it.requests))}, ${count(sum((it) => it.failed))} failed`}
          kind="bars"
          layers={classes(series).map((it) => ({ ...it, values: [...before, ...it.values] }))}
          format={short}
        />
        <Chart
          {...common}
          title="First token"
          summary="median, 95 %"
          kind="lines"
          layers={[
            layer("median", "tone-chat", (it) => it.first_token_ms?.p50 ?? null),
            layer("95 %", "tone-query", (it) => it.first_token_ms?.p95 ?? null),
          ]}
          format={duration}
        />
        <Chart
          {...common}
          title="Tokens"
          summary={`${short(prompt)} in, ${short(completion)} out`}
          kind="bars"
          layers={[
            layer("read", "tone-follow", (it) => it.prompt_tokens - it.cached_tokens),
            layer("reused", "tone-other", (it) => it.cached_tokens),
            layer("generated", "tone-chat", (it) => it.completion_tokens),
          ]}
          format={short}
        />
        <Chart
          {...common}
          title="Reuse"
          summary={`${percent(cached, prompt)} of prompt tokens`}
          kind="lines"
          layers={[layer("from the KV cache", "tone-chat", (it) => (it.prompt_tokens > 0 ? (100 * it.cached_tokens) / it.prompt_tokens : null))]}
          format={(value) => `${Math.round(value)} %`}
        />
      </div>
      <details>
        <summary>By class and model</summary>
        <Groups groups={groups} />
      </details>
    </section>
  );
}

/** Classes of a colour stand together; a colour that several share says so. */
function classes({ buckets, groups }: Series): Layer[] {
  const names = [...new Set(groups.map((group) => group.class))];
  const tones = [...new Set(names.map(classTone))];
  return tones.map((tone) => {
    const own = names.filter((name) => classTone(name) === tone);
    return {
      name: own.map(className).join(", "),
      tone: `tone-${tone}`,
      values: buckets.map((bucket) => own.reduce((sum, name) => sum + (bucket.classes[name] ?? 0), 0)),
    };
  });
}

function Groups({ groups }: { groups: Series["groups"] }) {
  return (
    <Table
      label="Requests by class and model"
      rows={groups}
      rowKey={(group) => `${group.class} ${group.model}`}
      columns={[
        { name: "Class", cell: (it) => <ClassMark name={it.class} />, sort: (it) => it.class },
        { name: "Model", cell: (it) => <Untrusted text={it.model || "–"} />, sort: (it) => it.model },
        { name: "Requests", cell: (it) => count(it.requests), sort: (it) => it.requests, numeric: true },
        { name: "Failed", cell: (it) => count(it.failed), sort: (it) => it.failed, numeric: true },
        { name: "Prompt", cell: (it) => count(it.prompt_tokens), sort: (it) => it.prompt_tokens, numeric: true, minor: true },
        { name: "Reused", cell: (it) => percent(it.cached_tokens, it.prompt_tokens), numeric: true },
        { name: "Answer", cell: (it) => count(it.completion_tokens), sort: (it) => it.completion_tokens, numeric: true, minor: true },
        { name: "First token", cell: (it) => duration(it.first_token_ms?.p50), sort: (it) => it.first_token_ms?.p50 ?? null, numeric: true },
        { name: "95 %", cell: (it) => duration(it.first_token_ms?.p95), sort: (it) => it.first_token_ms?.p95 ?? null, numeric: true, minor: true },
        { name: "Speed", cell: (it) => speed(it.tokens_per_second?.p50), sort: (it) => it.tokens_per_second?.p50 ?? null, numeric: true },
      ]}
      empty={null}
    />
  );
}
