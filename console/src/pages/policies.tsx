import { useCallback, useEffect, useState } from "preact/hooks";
import { call, get, words } from "../api";
import { time } from "../format";
import { Notice } from "../parts/notice";
import { Problems } from "../parts/problems";
import { Table } from "../parts/table";
import { navigate } from "../router";
import type { Policy, PolicyFile } from "../types";
import { PolicyEditor } from "./policy-editor";

const WRONG = "The files on disk are wrong; the last set that was fine is in force.";
const HELD = { shipped: "shipped", own: "yours", replaced: "yours, in place of the shipped one" };

/** `file` is `rules/NAME` or `policies/NAME`; empty until one is chosen. */
export function PoliciesPage({ file, query }: { file: string; query: string }) {
  const [policy, setPolicy] = useState<Policy | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const look = useCallback(() => {
    get<Policy>("/api/policy").then(setPolicy, (error) => setTrouble(words(error)));
  }, []);
  useEffect(look, [look]);
  if (trouble) {
    return <Notice kind="bad" title={trouble} />;
  }
  if (!policy) {
    return null;
  }
  return (
    <>
      <InForce policy={policy} open={file} />
      <div class="policies">
        <FileList policy={policy} file={file} />
        {file === "" ? (
          <Notice kind="empty" title="Choose a file">
            <p>
              Rule files say how requests are recognised and rewritten; policy files say which model gets what. The shipped ones are
              inside rkgate and can be read; changes go into files of your own, on top of them.
            </p>
          </Notice>
        ) : (
          <PolicyEditor key={file + query} id={file} line={Number(new URLSearchParams(query).get("line"))} held={policy.files.find(({ id }) => id === file)?.held ?? null} onSaved={look} />
        )}
      </div>
      <History policy={policy} onReturned={look} />
    </>
  );
}

function InForce({ policy, open }: { policy: Policy; open: string }) {
  const goTo = () => {};
  return (
    <>
      <p class="lead">
        Generation {policy.generation} is in force{policy.tests > 0 && `; ${policy.tests} tests of its files pass`}.
      </p>
      {policy.error && (
        <Notice kind="bad" title={policy.problems.length > 0 ? WRONG : policy.error}>
          <Problems problems={policy.problems} here={null} goTo={goTo} />
        </Notice>
      )}
      {open === "" && policy.ok && policy.problems.length > 0 && (
        <Notice kind="warn" title="Warnings about what is in force">
          <Problems problems={policy.problems} here={null} goTo={goTo} />
        </Notice>
      )}
    </>
  );
}

function FileList({ policy, file }: { policy: Policy; file: string }) {
  const kinds = [
    ["rules", "Rules"],
    ["policies", "Policies"],
  ] as const;
  return (
    <nav class="files" aria-label="Files">
      {kinds.map(([kind, name]) => (
        <div key={kind}>
          <h2>{name}</h2>
          <ul>
            {policy.files
              .filter(({ id }) => id.startsWith(`${kind}/`))
              .map((it) => (
                <FileLink key={it.id} file={it} isOpen={it.id === file} />
              ))}
          </ul>
          <NewFile kind={kind} />
        </div>
      ))}
    </nav>
  );
}

function FileLink({ file, isOpen }: { file: PolicyFile; isOpen: boolean }) {
  return (
    <li>
      <a href={`/policies/${file.id}`} aria-current={isOpen ? "page" : undefined} title={file.path}>
        {file.id.replace(/^\w+\//, "")}
        {file.held !== "shipped" && <span class="held"> {HELD[file.held]}</span>}
      </a>
    </li>
  );
}

const NAME = "[A-Za-z0-9_\\-][A-Za-z0-9._\\-]*\\.toml";

function NewFile({ kind }: { kind: string }) {
  const [name, setName] = useState<string | null>(null);
  if (name === null) {
    return (
      <button type="button" class="quiet" onClick={() => setName("90-local.toml")}>
        New {kind === "rules" ? "rule" : "policy"} file
      </button>
    );
  }
  const submit = (event: Event) => {
    event.preventDefault();
    setName(null);
    navigate(`/policies/${kind}/${name}`);
  };
  return (
    <form class="new-file" onSubmit={submit}>
      <label>
        Name; files are read in the order of their names
        <input type="text" required pattern={NAME} value={name} onInput={(event) => setName(event.currentTarget.value)} autofocus />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}

function History({ policy, onReturned }: { policy: Policy; onReturned: () => void }) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const back = (number: number) => {
    if (confirm(`Return to the files of generation ${number}? Your files on disk are changed; what is there now stays in this list.`)) {
      call("POST", "/api/policy/undo", { generation: number }).then(
        () => {
          setTrouble(null);
          onReturned();
          // What is open may have changed.
          navigate("/policies");
        },
        (error) => setTrouble(words(error)),
      );
    }
  };
  return (
    <section aria-labelledby="history">
      <h2 id="history">Generations since the start</h2>
      {trouble && <Notice kind="bad" title={trouble} />}
      <Table
        label="Generations, newest first"
        rows={policy.generations}
        rowKey={(generation) => generation.number}
        columns={[
          { name: "Generation", cell: ({ number }) => number },
          { name: "In force since", cell: ({ at }) => time(at) },
          { name: "Changed files", cell: ({ changed }) => changed?.join(", ") ?? "the first one" },
          {
            name: "",
            cell: ({ number }) =>
              number === policy.generation ? (
                "in force"
              ) : (
                <button type="button" onClick={() => back(number)} aria-label={`Return to this: generation ${number}`}>
                  Return to this
                </button>
              ),
          },
        ]}
        empty={null}
      />
    </section>
  );
}
