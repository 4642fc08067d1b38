import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { count } from "../format";
import type { Change, Policy, Step } from "../types";
import { Untrusted } from "./untrusted";

/** The stages in the order in which they run. */
const STAGES: Record<string, string> = {
  classify: "What it is for",
  label: "What else is known",
  route: "Which model",
  policy: "Model policy",
  deny: "Refused or not",
  rewrite: "Messages",
  tools: "Tools",
  trim: "Turns that stay",
  sample: "Sampling",
  admit: "Urgency",
  answer: "The answer",
};

/** Rule and policy files of today: path to id. */
const Files = createContext(new Map<string, string>());

/** Why a request became what it did, stage by stage. */
export function Story({ steps }: { steps: Step[] }) {
  const [files, setFiles] = useState(new Map<string, string>());
  useEffect(() => {
    get<Policy>("/api/policy").then(
      (policy) => setFiles(new Map(policy.files.map(({ path, id }) => [path, id]))),
      () => {},
    );
  }, []);
  // What held without anything to do and without a reason to tell is as good as what did not hold.
  const isPassed = ({ outcome, why }: Step) => outcome === "not_matched" || (outcome === "left" && !why);
  const told = steps.filter((step) => step.outcome !== "sampled" && !isPassed(step));
  const passed = steps.filter(isPassed);
  const stages = Object.entries(STAGES).filter(([stage]) => told.some((step) => step.stage === stage));
  return (
    <Files.Provider value={files}>
      {told.length === 0 && <p class="muted">No rule had anything to do with it.</p>}
      <dl class="story">
        {stages.map(([stage, name]) => (
          <div key={stage}>
            <dt>{name}</dt>
            {told
              .filter((step) => step.stage === stage)
              .map((step, index) => (
                <dd key={index} class={step.outcome}>
                  <Sentence step={step} /> <RuleLink step={step} />
                </dd>
              ))}
          </div>
        ))}
      </dl>
      {passed.length > 0 && (
        <details>
          <summary>{passed.length === 1 ? "One rule was" : `${passed.length} rules were`} looked at and did nothing</summary>
          <ul class="passed">
            {passed.map((step, index) => (
              <li key={index}>
                <RuleLink step={step} />: <Untrusted text={step.why ?? "held, and there was nothing to do"} />
                {step.near && <strong> It nearly held.</strong>}
              </li>
            ))}
          </ul>
        </details>
      )}
    </Files.Provider>
  );
}

function Sentence({ step }: { step: Step }) {
  switch (step.outcome) {
    case "applied":
      return <Changes changes={step.changes ?? []} />;
    case "shadow":
      return step.changes && step.changes.length > 0 ? (
        <>
          Would, but runs in shadow mode: <Changes changes={step.changes} />
        </>
      ) : (
        <>
          Would, but runs in shadow mode: <Untrusted text={step.what ?? ""} />
        </>
      );
    case "left":
      return <><Untrusted text={step.why ?? ""} /></>;
    case "failed":
      return (
        <>
          Failed and was passed over: <Untrusted text={step.why ?? ""} />
        </>
      );
    default:
      return <Untrusted text={step.what ?? ""} />;
  }
}

function Changes({ changes }: { changes: Change[] }) {
  return (
    <>
      {changes.map(({ place, what, before, after }, index) => (
        <span key={index} class="change">
          <code>{place}</code> <Untrusted text={what} />
          {before !== after && (
            <span class="muted">
              {" "}
              ({count(before)} → {count(after)} characters)
            </span>
          )}
        </span>
      ))}
    </>
  );
}

function RuleLink({ step: { rule, origin } }: { step: Step }) {
  const file = useContext(Files).get(origin?.file ?? "");
  const name = <code>{rule}</code>;
  if (!origin) {
    return <span class="by">{name}</span>;
  }
  return (
    <span class="by">
      {file ? (
        <a href={`/policies/${file}?line=${origin.line}`} title={`${origin.file}:${origin.line}`}>
          {name}
        </a>
      ) : (
        <span title={`${origin.file}:${origin.line}`}>{name}</span>
      )}
    </span>
  );
}
