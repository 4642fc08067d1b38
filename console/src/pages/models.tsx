import { useEffect, useState } from "preact/hooks";
import { call, get, words } from "../api";
import { bytes, count, median, percent, speed } from "../format";
import { useLive } from "../live";
import { Notice } from "../parts/notice";
import { Table, type Column } from "../parts/table";
import type { Engine, LiveRequest, Model, Residency, State, Worker } from "../types";
import { decodeSpeed, prefillSpeed } from "./live";

export function ModelsPage() {
  const { engine, ended } = useLive();
  const [state, setState] = useState<State | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    get<State>("/api/state").then(setState, () => {});
  }, []);
  if (!engine) {
    return null;
  }
  const act = (model: Model, what: Act) => {
    setFailed(null);
    call("POST", `/api/engine/models/${encodeURIComponent(model.id)}/${what}`).catch((error) => setFailed(words(error)));
  };
  const used = engine.workers.reduce((sum, worker) => sum + (worker.memory_bytes ?? 0), 0);
  return (
    <>
      <p class="lead">
        {engine.shipped_models
          ? "The simulator's own models, as none were found. "
          : `${count(engine.models.length)} models below ${engine.models_dir}. `}
        {bytes(used)} of {bytes(engine.memory_budget_bytes)} in use ({percent(used, engine.memory_budget_bytes)}). A model is loaded when
        a request needs it, and makes room for others when it has been idle; a pinned one stays. Speeds are
        those of the last answers, of what is to be expected. Runtime: {engine.library}.
      </p>
      {failed && <Notice kind="bad" title={failed} />}
      <Table
        label="Models of the embedded engine"
        columns={columns(engine, ended, act)}
        rows={engine.models}
        rowKey={(model) => model.id}
        detail={(model) => model.warnings.length > 0 && <Warnings model={model} />}
        empty={
          <Notice kind="empty" title="No model">
            <p>
              Put each <code>.rkllm</code> file with its tokenizer into a directory of its own below {engine.models_dir}, and start
              rkgate anew.
            </p>
          </Notice>
        }
      />
      {state && state.upstreams.length > 0 && (
        <section aria-labelledby="upstreams">
          <h2 id="upstreams">Upstreams</h2>
          <ul class="plain">
            {state.upstreams.map((upstream) => (
              <li key={upstream.name}>
                <strong>{upstream.name}</strong> {upstream.urls.join(", ")}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** The catalogue's warnings name the cure behind the last semicolon. */
function Warnings({ model }: { model: Model }) {
  return (
    <ul class="warnings">
      {model.warnings.map((warning) => {
        const at = warning.lastIndexOf("; ");
        return (
          <li key={warning}>
            {at < 0 ? warning : warning.slice(0, at)}
            {at >= 0 && <span class="cure"> Cure: {warning.slice(at + 2)}</span>}
          </li>
        );
      })}
    </ul>
  );
}

type Act = "load" | "unload" | "pin" | "unpin";

const WORDS = {
  absent: "not loaded",
  waiting: "waits for room",
  loading: "loading",
  loaded: "loaded",
  unloading: "unloading",
};

function residency(engine: Engine, model: Model): string {
  const workers = workersOf(engine, model);
  const { residency, pinned } = placeOf(engine, model);
  const inUse = residency === "loaded" && workers.some((worker) => worker.loaded && worker.in_use);
  const where = inUse ? "in use" : residency === "absent" && workers.length > 0 ? "tokenizer only" : WORDS[residency];
  return pinned ? `${where}, pinned` : where;
}

/** One for each instance of the model that has a process. */
function workersOf(engine: Engine, model: Model): Worker[] {
  return engine.workers.filter((worker) => worker.model === model.id);
}

function placeOf(engine: Engine, model: Model): Residency {
  const known = engine.residency.find((it) => it.model === model.id);
  return known ?? { model: model.id, residency: "absent", pinned: false };
}

/** What can be done with a model as it is. */
function Actions({ engine, model, act }: { engine: Engine; model: Model; act: (model: Model, what: Act) => void }) {
  const { residency, pinned } = placeOf(engine, model);
  const button = (what: Act, name: string, disabled = false) => (
    <button type="button" disabled={disabled} onClick={() => act(model, what)} aria-label={`${name} ${model.id}`}>
      {name}
    </button>
  );
  return (
    <span class="actions">
      {residency === "waiting"
        ? button("unload", "Call off")
        : residency === "loaded"
          ? button("unload", "Unload", pinned)
          : button("load", "Load", residency !== "absent")}
      {pinned ? button("unpin", "Unpin") : button("pin", "Pin")}
    </span>
  );
}

function columns(engine: Engine, ended: LiveRequest[], act: (model: Model, what: Act) => void): Column<Model>[] {
  const measured = (model: Model, speedOf: (request: LiveRequest) => number | null) => {
    const own = ended.filter((request) => request.model === model.id && request.provider === "rkllm" && request.status === 200);
    return median(own.flatMap((request) => speedOf(request) ?? []));
  };
  const reads = (model: Model) => measured(model, prefillSpeed);
  const writes = (model: Model) => measured(model, (request) => decodeSpeed(request, 0));
  const held = (model: Model) => {
    const loaded = workersOf(engine, model).flatMap((worker) => worker.memory_bytes ?? []);
    return loaded.length > 0 ? loaded.reduce((sum, bytes) => sum + bytes, 0) : null;
  };
  return [
    { name: "Model", cell: (it) => <strong title={it.path}>{it.id}</strong>, sort: (it) => it.id },
    { name: "State", cell: (it) => <Where state={residency(engine, it)} />, sort: (it) => residency(engine, it) },
    { name: "By hand", cell: (it) => <Actions engine={engine} model={it} act={act} /> },
    { name: "Family", cell: (it) => it.family, sort: (it) => it.family, minor: true },
    {
      name: "Weights",
      cell: (it) => [it.size, it.quantisation].filter(Boolean).join(" ") || "–",
      sort: (it) => (it.size ? Number.parseFloat(it.size) : null),
      minor: true,
    },
    { name: "Context", cell: (it) => count(it.context), sort: (it) => it.context, numeric: true, minor: true },
    { name: "Memory", cell: (it) => bytes(held(it) ?? it.memory_bytes), sort: (it) => held(it) ?? it.memory_bytes, numeric: true },
    {
      name: "Reads",
      cell: (it) => <Speed measured={reads(it)} expected={it.prefill_tokens_per_second} />,
      sort: (it) => reads(it) ?? it.prefill_tokens_per_second,
      numeric: true,
      minor: true,
    },
    {
      name: "Writes",
      cell: (it) => <Speed measured={writes(it)} expected={it.decode_tokens_per_second} />,
      sort: (it) => writes(it) ?? it.decode_tokens_per_second,
      numeric: true,
    },
  ];
}

/** Where nothing has been measured yet, what is to be expected stands alone, muted. */
function Speed({ measured, expected }: { measured: number | null; expected: number | null }) {
  if (measured === null || expected === null) {
    return <span class={measured === null ? "muted" : undefined}>{speed(measured ?? expected)}</span>;
  }
  return (
    <>
      {speed(measured).replace(" tok/s", "")} <span class="muted">of {speed(expected)}</span>
    </>
  );
}

function Where({ state }: { state: string }) {
  const tone = /^(in use|loading|unloading)/.test(state) ? "busy" : state.startsWith("loaded") ? "on" : "off";
  return <span class={`dot ${tone}`}>{state}</span>;
}
