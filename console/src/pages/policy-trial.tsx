import { useState } from "preact/hooks";
import { call, words } from "../api";
import { className, count } from "../format";
import { Notice } from "../parts/notice";
import { Untrusted } from "../parts/untrusted";
import type { Replayed } from "../types";

const LAST = 100;

interface Props {
  id: string;
  /** The file's text as it is in the editor. */
  text: () => string;
  disabled: boolean;
}

/** What the last requests would have become with the file as it is in the editor. */
export function PolicyTrial({ id, text, disabled }: Props) {
  const [report, setReport] = useState<Replayed | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const run = () => {
    setBusy(true);
    call<Replayed>("POST", "/api/replay", { files: [{ id, text: text() }], last: LAST })
      .then(
        (report) => {
          setReport(report);
          setTrouble(null);
        },
        (error) => setTrouble(words(error)),
      )
      .finally(() => setBusy(false));
  };
  return (
    <div class="trial">
      <button type="button" disabled={disabled || busy} onClick={run}>
        {busy ? "Trying…" : `Try on the last ${LAST} requests`}
      </button>
      {trouble && <Notice kind="bad" title={trouble} />}
      {report && <Report report={report} />}
    </div>
  );
}

function Report({ report }: { report: Replayed }) {
  const { requests, changed, without_content: without, before, after } = report;
  const kinds: [number, string][] = [
    [report.class, "another class"],
    [report.model, "another model"],
    [report.profile, "another profile"],
    [report.text, "another text"],
    [report.length, "another length"],
    [report.refused, "refused or no longer so"],
  ];
  const others = Object.entries(report.not_conversations);
  const told = kinds.filter(([number]) => number > 0).map(([number, name]) => `${count(number)} ${name}`);
  return (
    <div class="trial-report" role="status">
      <p>
        <strong>
          {changed === 0 ? "Nothing would change" : `${count(changed)} of ${count(requests)} would change`}
          {changed === 0 && ` for the last ${count(requests)}`}
        </strong>
        {told.length > 0 && `: ${told.join(", ")}`}.{without > 0 && ` ${count(without)} more are without content.`}
        {others.map(([name, number]) => ` ${count(number)} of class ${className(name)} were left out: no rule changes them.`)}
      </p>
      <p class="muted">
        Prompts: {change(before.prompt_tokens, after.prompt_tokens)} tokens; to be read, beside what is in the cache:{" "}
        {change(before.prefill_tokens, after.prefill_tokens)}. Estimated, against what is in force.
      </p>
      {report.examples.map((example) => (
        <details key={example.id}>
          <summary>
            Request {example.id}: <Untrusted text={differences(example).join(", ") || "its text"} />
          </summary>
          <Lines lines={example.difference} />
          <p>
            <a href={`/log/${example.id}`}>Its page in the log</a>
          </p>
        </details>
      ))}
    </div>
  );
}

const change = (before: number, after: number): string => (before === after ? count(before) : `${count(before)} → ${count(after)}`);

function differences({ before, after }: Replayed["examples"][number]): string[] {
  const pairs = [
    ["", className(before.class), className(after.class)],
    ["", before.model, after.model],
    ["profile ", before.profile ?? "none", after.profile ?? "none"],
    ["tokens ", count(before.prompt_tokens), count(after.prompt_tokens)],
    ["refused by ", before.refused_by ?? "nobody", after.refused_by ?? "nobody"],
  ] as const;
  return pairs.filter(([, then, now]) => then !== now).map(([name, then, now]) => `${name}${then} → ${now}`);
}

function Lines({ lines }: { lines: string[] }) {
  const kinds: Record<string, string> = { "+": "added", "-": "removed" };
  if (lines.length === 0) {
    return <p class="muted">Its text stays as it is.</p>;
  }
  return (
    <pre class="said-text" tabIndex={0} aria-label="what changes in its text">
      {lines.map((line, index) => (
        <span key={index} class={kinds[line[0] ?? ""]}>
          <Untrusted text={line.slice(0, 2000)} />
          {"\n"}
        </span>
      ))}
    </pre>
  );
}
