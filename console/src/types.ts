// The admin port's JSON, as far as the console reads it.

export type Phase = "arrived" | "queued" | "loading" | "running" | "relayed" | "ended";

/** A time in which the engine worked for a request, in milliseconds since the request came. */
export interface Stretch {
  phase: "loading" | "running";
  from: number;
  to: number | null;
}

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
  /** In order; it waits between them. */
  stretches: Stretch[];
  first_token: number | null;
  /** How long the engine took to read the prompt; known at the end. */
  prefill: number | null;
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

/** Where a model is. */
export interface Residency {
  model: string;
  residency: "absent" | "waiting" | "loading" | "loaded" | "unloading";
  pinned: boolean;
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
  residency: Residency[];
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

/** How the prompt log is. */
export interface LogStatus {
  state: "running" | "stopped";
  /** Why nothing is written. */
  reason?: string;
  /** Milliseconds since 1970. */
  since?: number;
  /** Records whose content was left out. */
  content_dropped: number;
  /** Records that were not written at all. */
  lost: number;
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

/** A logged request without its content. */
export interface Logged {
  id: number;
  /** RFC 3339. */
  time: string;
  request_id: string;
  conversation: string | null;
  client: string | null;
  user: string | null;
  /** The gateway that answered, where several share a log. */
  instance?: string;
  class: string;
  labels: string[];
  asked: string;
  /** Empty where none was found. */
  model: string;
  /** `rkllm` for the embedded engine. */
  provider: string;
  profile: string | null;
  policy: number;
  status: number;
  finish: string | null;
  error: string | null;
  usage: { prompt: number; cached: number; completion: number; reasoning: number } | null;
  /** Why much of the prompt was not found in the KV cache. */
  miss: string | null;
  timings: { queued_ms: number | null; first_token_ms: number | null; total_ms: number; tokens_per_second: number | null };
  kept: "full" | "redacted" | "off" | "opted_out" | "dropped" | "unread" | "damaged";
}

export interface LoggedSummary extends Logged {
  /** The beginning of what the person said last. */
  preview: string;
}

export interface LogPage {
  records: LoggedSummary[];
  /** Where the next page begins, as its `before`. */
  next: number | null;
}

/** A chat request in OpenAI's form, as far as the console looks into it. A text to go on with is its only message. */
export interface ChatRequest {
  messages?: ChatMessage[];
  tools?: { type: string; function: { name: string; description?: string; parameters?: unknown } }[];
  [parameter: string]: unknown;
}

export interface ChatMessage {
  role: string;
  content?: string | ContentPart[] | null;
  reasoning_content?: string | null;
  tool_calls?: { function: { name: string; arguments: string } }[];
  [field: string]: unknown;
}

export interface ContentPart {
  type: string;
  text?: string;
  image_url?: { url: string };
}

/** A step of a decision: one rule. */
export interface Step {
  stage: string;
  rule: string;
  origin: { file: string; line: number } | null;
  outcome: "matched" | "not_matched" | "left" | "applied" | "shadow" | "failed" | "sampled";
  what?: string;
  why?: string | null;
  near?: boolean;
  changes?: Change[];
}

export interface Change {
  place: string;
  what: string;
  before: number;
  after: number;
}

export interface LoggedContent {
  headers: Record<string, string>;
  before: ChatRequest;
  /** `null` where it was sent as it came. */
  after: ChatRequest | null;
  trace: Step[];
  sampling: Record<string, number | null>;
  max_tokens: number | null;
  thinking: boolean | null;
  answer: { content: string; reasoning: string; tool_calls: { name: string; arguments: string }[] };
  /** Why the answer, or a part of it, could not be read. */
  unread: string | null;
}

export interface LoggedRequest extends Logged {
  /** `null` where none was kept. */
  content: LoggedContent | null;
}

/** What the policies of now would make of a request. */
export interface Explanation {
  generation: number;
  decision: {
    class: string;
    by: string;
    labels: string[];
    model: string;
    profile: string | null;
    thinking: boolean | null;
    deny: { by: string; message: string } | null;
  };
  sampling: { name: string; value: number | null; origin: string; used: number | null }[];
  max_tokens: { value: number | null; origin: string };
  trace: { steps: Step[] };
  rewritten: boolean;
  request: ChatRequest;
  prompt: { exact: boolean; tokens: number; unrewritten: number; context: number | null };
}

export interface Quantiles {
  p50: number;
  p95: number;
}

interface Sums {
  requests: number;
  failed: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  first_token_ms: Quantiles | null;
  total_ms: Quantiles | null;
  tokens_per_second: Quantiles | null;
}

export interface Bucket extends Sums {
  /** Requests by class. */
  classes: Record<string, number>;
}

export interface Series {
  /** Milliseconds since 1970. */
  start: number;
  /** Width of a bucket in ms. */
  step: number;
  buckets: Bucket[];
  /** Sums by class and model, most requests first. */
  groups: (Sums & { class: string; model: string })[];
}

interface Load {
  prompt_tokens: number;
  prefill_tokens: number;
}

interface Verdict {
  class: string;
  by: string;
  model: string;
  profile: string | null;
  prompt_tokens: number;
  refused_by: string | null;
}

/** What other policies would have made of logged requests. */
export interface Replayed {
  requests: number;
  without_content: number;
  /** How many are no conversations, by class. */
  not_conversations: Record<string, number>;
  changed: number;
  class: number;
  model: number;
  profile: number;
  text: number;
  length: number;
  refused: number;
  before: Load;
  after: Load;
  examples: { id: number; before: Verdict; after: Verdict; difference: string[] }[];
}
