import { useEffect, useState } from "preact/hooks";
import { get, words } from "../api";
import { className, count, duration, percent, speed, time } from "../format";
import { ClassMark } from "../parts/class-mark";
import { Notice } from "../parts/notice";
import { Table, type Column } from "../parts/table";
import { Untrusted } from "../parts/untrusted";
import { readdress } from "../router";
import type { LoggedSummary, LogPage as Found, Series } from "../types";
import { LogCharts } from "./log-charts";

const TIMES = [
  ["1h", "last hour"],
  ["24h", "last 24 hours"],
  ["7d", "last 7 days"],
  ["30d", "last 30 days"],
  ["", "all"],
] as const;
const USUAL_TIME = "24h";
/** Time after the last key until it is searched, in ms. */
const PAUSE = 300;

/** The names are those of the admin port's query. */
interface Filter {
  text: string;
  class: string;
  model: string;
  since: string;
  failed: string;
  conversation: string;
}

function filterOf(address: URLSearchParams): Filter {
  const value = (name: string) => address.get(name) ?? "";
  return {
    text: value("text"),
    class: value("class"),
    model: value("model"),
    since: address.has("since") ? value("since") : USUAL_TIME,
    failed: value("failed"),
    conversation: value("conversation"),
  };
}

function query(filter: Filter): string {
  return new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== "")).toString();
}

export function LogPage({ address }: { address: string }) {
  const [filter, setFilter] = useState(() => filterOf(new URLSearchParams(address)));
  const [series, setSeries] = useState<Series | null>(null);
  const [look, setLook] = useState(0);
  const asked = query(filter);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      readdress(`/log?${filter.since === "" ? `${asked}&since=` : asked}`);
      get<Series>(`/api/log/series?spans=60&${asked}`, abort.signal).then(setSeries, () => {});
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [asked, look]);
  return (
    <>
      <Filters filter={filter} series={series} onChange={(change) => setFilter({ ...filter, ...change })} />
      {series && series.groups.length > 0 && <LogCharts series={series} />}
      <Records key={asked} asked={asked} onLook={() => setLook(look + 1)} />
    </>
  );
}

interface FiltersProps {
  filter: Filter;
  series: Series | null;
  onChange: (change: Partial<Filter>) => void;
}

function Filters({ filter, series, onChange }: FiltersProps) {
  const [text, setText] = useState(filter.text);
  useEffect(() => {
    const timer = setTimeout(() => text !== filter.text && onChange({ text }), PAUSE);
    return () => clearTimeout(timer);
  });
  const found = (of: (group: Series["groups"][number]) => string, chosen: string) =>
    [...new Set([...(series?.groups.map(of) ?? []), chosen])].filter((name) => name !== "").sort();
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="wide">
        Search
        <input
          type="search"
          placeholder="words of the last message or of the answer"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <Choice
        name="Class"
        value={filter.class}
        options={[["", "all"], ...found((group) => group.class, filter.class).map((name) => [name, className(name)] as const)]}
        onChange={(value) => onChange({ class: value })}
      />
      <Choice
        name="Model"
        value={filter.model}
        options={[["", "all"], ...found((group) => group.model, filter.model).map((name) => [name, name] as const)]}
        onChange={(value) => onChange({ model: value })}
      />
      <Choice name="Time" value={filter.since} options={timesWith(filter.since)} onChange={(value) => onChange({ since: value })} />
      <Choice
        name="Outcome"
        value={filter.failed}
        options={[
          ["", "all"],
          ["false", "answered"],
          ["true", "failed"],
        ]}
        onChange={(value) => onChange({ failed: value })}
      />
      {filter.conversation && (
        <button type="button" onClick={() => onChange({ conversation: "" })}>
          One conversation only ✕
        </button>
      )}
    </form>
  );
}

/** An address may hold any time. */
function timesWith(since: string): (readonly [string, string])[] {
  return TIMES.some(([value]) => value === since) ? [...TIMES] : [...TIMES, [since, `since ${since}`]];
}

interface ChoiceProps {
  name: string;
  value: string;
  options: (readonly [string, string])[];
  onChange: (value: string) => void;
}

function Choice({ name, value, options, onChange }: ChoiceProps) {
  return (
    <label>
      {name}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Records({ asked, onLook }: { asked: string; onLook: () => void }) {
  /** Where the pages up to this one begin; the first has no `before`. */
  const [pages, setPages] = useState<(number | null)[]>([null]);
  const [found, setFound] = useState<Found | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [look, setLook] = useState(0);
  const arrived = useArrivals(look);
  const before = pages.at(-1) ?? null;
  useEffect(() => {
    const abort = new AbortController();
    const page = before === null ? "" : `&before=${before}`;
    get<Found>(`/api/log?limit=50&${asked}${page}`, abort.signal).then(
      (found) => {
        setFound(found);
        setTrouble(null);
      },
      (error) => abort.signal.aborted || setTrouble(words(error)),
    );
    return () => abort.abort();
  }, [before, look]);
  const refresh = () => {
    setPages([null]);
    setLook(look + 1);
    onLook();
  };
  if (trouble) {
    return <Notice kind="bad" title={trouble} />;
  }
  if (!found) {
    return null;
  }
  return (
    <section aria-labelledby="records">
      <div class="section-head">
        <h2 id="records">Requests</h2>
        <div class="actions">
          <span role="status">
            {arrived > 0 && (
              <button type="button" onClick={refresh}>
                {arrived === 1 ? "One more has come" : `${count(arrived)} more have come`}
              </button>
            )}
          </span>
          <button type="button" disabled={pages.length === 1} onClick={() => setPages(pages.slice(0, -1))}>
            Newer
          </button>
          <button type="button" disabled={found.next === null} onClick={() => setPages([...pages, found.next])}>
            Older
          </button>
        </div>
      </div>
      <Table
        label="Logged requests, newest first"
        columns={COLUMNS}
        rows={found.records}
        rowKey={(record) => record.id}
        empty={<Notice kind="empty" title="No request fits">{<p>Choose another time, class or model, or search for other words.</p>}</Notice>}
      />
    </section>
  );
}

/** How many records were written since the last look. */
function useArrivals(look: number): number {
  const [arrived, setArrived] = useState(0);
  useEffect(() => {
    setArrived(0);
    const source = new EventSource("/api/log/stream");
    source.addEventListener("record", () => setArrived((arrived) => arrived + 1));
    source.addEventListener("missed", ({ data }) => setArrived((arrived) => arrived + Number(data)));
    return () => source.close();
  }, [look]);
  return arrived;
}

/** How a request ended, in words. */
export function ending({ status, error, finish }: LoggedSummary | { status: number; error: string | null; finish: string | null }): string {
  if (status === 499) {
    return "client left";
  }
  return error ? `${status}: ${error}` : status >= 400 ? `failed with ${status}` : (finish ?? "answered");
}

const COLUMNS: Column<LoggedSummary>[] = [
  { name: "Time", cell: (it) => <time dateTime={it.time}>{time(Date.parse(it.time))}</time> },
  { name: "Class", cell: (it) => <ClassMark name={it.class} /> },
  {
    name: "Last message",
    cell: (it) => (
      <a class="preview" href={`/log/${it.id}`}>
        {it.preview === "" ? (
          <span class="muted">
            request {it.id}
            {it.kept === "damaged" && ", damaged"}
          </span>
        ) : (
          <Untrusted text={it.preview} />
        )}
      </a>
    ),
  },
  { name: "Model", cell: (it) => <Untrusted text={it.model || it.asked || "–"} /> },
  {
    name: "End",
    cell: (it) => (
      <span class={it.status >= 400 && it.status !== 499 ? "state bad" : "state"}>
        <Untrusted text={ending(it)} />
      </span>
    ),
    minor: true,
  },
  { name: "First token", cell: (it) => duration(it.timings.first_token_ms), numeric: true },
  { name: "Prompt", cell: (it) => count(it.usage?.prompt), numeric: true, minor: true },
  { name: "Reused", cell: (it) => (it.usage ? percent(it.usage.cached, it.usage.prompt) : "–"), numeric: true, minor: true },
  { name: "Answer", cell: (it) => count(it.usage?.completion), numeric: true, minor: true },
  { name: "Speed", cell: (it) => speed(it.timings.tokens_per_second), numeric: true, minor: true },
  { name: "Total", cell: (it) => duration(it.timings.total_ms), numeric: true },
];
