// The admin port's JSON, as far as the console reads it.

export type Phase = "arrived" | "queued" | "loading" | "running" | "relayed" | "ended";

/** A request of the moment. Times are milliseconds since it came. */
export interface LiveRequest {
  number: number;
  id: string;
  /** Milliseconds since 1970. */
  arrived: number;
  webui_headers: string[];
  class: string;
  model: string | null;
  provider: string;
  phase: Phase;
  ahead: number | null;
  loading: number | null;
  started: number | null;
  first_token: number | null;
  ended: number | null;
  prompt_tokens: number | null;
  cached_tokens: number | null;
  completion_tokens: number;
  status: number | null;
  failure: string | null;
}

export interface Clock {
  governor: string;
  hertz: number;
  highest_hertz: number;
}

export interface BoardReadings {
  npu_load_percent: number[] | null;
  npu_clock: Clock | null;
  ddr_clock: Clock | null;
  temperatures: { zone: string; celsius: number }[];
  memory_bytes: number | null;
  memory_available_bytes: number | null;
}

export interface Worker {
  model: string;
  pid: number | null;
  in_use: boolean;
  loaded: boolean;
  runtime: string | null;
  abi: string | null;
  context: number | null;
  memory_bytes: number | null;
}

export interface Model {
  id: string;
  name: string;
  path: string;
  family: string;
  size: string | null;
  quantisation: string | null;
  context: number;
  memory_bytes: number;
  prefill_tokens_per_second: number | null;
  decode_tokens_per_second: number | null;
  warnings: string[];
}

export interface Engine {
  library: string;
  models_dir: string;
  shipped_models: boolean;
  memory_budget_bytes: number;
  queued: number;
  workers: Worker[];
  counters: {
    completed: number;
    failed: number;
    cancelled: number;
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    loads: number;
    workers_lost: number;
  };
  models: Model[];
}

export interface State {
  version: string;
  uptime_seconds: number;
  shutting_down: boolean;
  config_file: string | null;
  api: string;
  api_keys: boolean;
  upstreams: { name: string; urls: string[] }[];
  board: { chip: string | null; npu_driver: string | null };
}

export interface Session {
  key_needed: boolean;
  signed_in: boolean;
}

export interface Finding {
  about: string;
  status: "ok" | "warn" | "fail";
  message: string;
  fix: string | null;
}

export interface Setup {
  findings: Finding[];
  open_webui: { url: string; headers: string; key_needed: boolean };
}

/** A place in a file: lines and columns count from 1, columns in characters. */
export interface Place {
  file: string;
  /** `rules/NAME` or `policies/NAME`, where the file is one of these. */
  id: string | null;
  line: number;
  column: number;
  end_line: number;
  end_column: number;
  label: string;
}

export interface Problem {
  code: string;
  severity: "error" | "warning";
  message: string;
  places: Place[];
  help: string[];
}

export interface PolicyFile {
  id: string;
  path: string;
  held: "shipped" | "own" | "replaced";
}

export interface Loaded {
  generation: number;
  ok: boolean;
  tests: number;
  error: string | null;
  /** What keeps the files from taking effect, or else warnings. */
  problems: Problem[];
}

export interface Policy extends Loaded {
  files: PolicyFile[];
  /** Newest first. */
  generations: { number: number; at: number; changed: string[] | null }[];
}

export interface Checked {
  problems: Problem[];
  tests: number | null;
}
