import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, call, get, words } from "../api";
import type { Editor, Mark } from "../editor/editor";
import { loadEditor } from "../editor/load";
import { Notice } from "../parts/notice";
import { Problems } from "../parts/problems";
import { guardLeaving, navigate } from "../router";
import type { Checked, PolicyFile, Problem } from "../types";
import { PolicyTrial } from "./policy-trial";

/** Time after the last key until what was typed is checked, in ms. */
const PAUSE = 350;

/** What the next opened file is to begin with, from the page before. */
let carried: { id: string; text: string } | null = null;

interface Props {
  id: string;
  /** `null` for a file that is not there yet. */
  held: PolicyFile["held"] | null;
  /** Where the cursor is to be, from 1; 0 where nobody says. */
  line: number;
  onSaved: () => void;
}

interface File {
  text: string;
  version: string;
}

type Verdict = { kind: "checking" } | { kind: "checked"; checked: Checked } | { kind: "trouble"; words: string };

export function PolicyEditor({ id, held, line, onSaved }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [file, setFile] = useState<File | null>(null);
  const [dirty, setDirty] = useState(false);
  const [locked, setLocked] = useState(held === "shipped");
  const [verdict, setVerdict] = useState<Verdict>({ kind: "checking" });
  const [trouble, setTrouble] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const [changes, setChanges] = useState(0);
  const save = useRef(() => {});

  const open = async () => {
    const [{ mountEditor }, schema, found] = await Promise.all([
      loadEditor(),
      get<object>(`/api/policy/schema/${id.split("/")[0]}`),
      get<File>(`/api/policy/files/${id}`).catch((error) => {
        if (error instanceof ApiError && error.status === 404) {
          return { text: "", version: "" };
        }
        throw error;
      }),
    ]);
    if (!host.current) {
      return;
    }
    const start = found.version === "" ? beginning(id) : found.text;
    const added = carried?.id === id ? carried.text : "";
    carried = null;
    editor.current?.destroy();
    editor.current = mountEditor({
      parent: host.current,
      label: `Text of ${id}`,
      text: start + added,
      readOnly: locked,
      schema,
      onChange: () => {
        setDirty(true);
        setSaid("");
        setChanges((changes) => changes + 1);
      },
      onSave: () => save.current(),
    });
    setFile(found);
    setDirty(start + added !== found.text);
    setTrouble(null);
    setChanges((changes) => changes + 1);
    if (line > 0 || added !== "") {
      editor.current.goTo(line > 0 ? line : start.split("\n").length + 1);
      editor.current.focus();
    }
  };

  useEffect(() => {
    open().catch((error) => setTrouble(words(error)));
    return () => {
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);

  useEffect(() => guardLeaving(() => (dirty ? `Leave ${id} without saving?` : null)), [dirty]);

  useEffect(() => {
    if (!file || !editor.current) {
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      setVerdict({ kind: "checking" });
      call<Checked>("POST", "/api/policy/check", { id, text: editor.current?.text() ?? "" }, abort.signal).then(
        (checked) => {
          setVerdict({ kind: "checked", checked });
          editor.current?.setMarks(marks(checked.problems, id));
        },
        (error) => {
          if (!abort.signal.aborted) {
            setVerdict({ kind: "trouble", words: words(error) });
          }
        },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [file, changes]);

  save.current = () => {
    const text = editor.current?.text();
    if (text === undefined || !file || locked) {
      return;
    }
    call("PUT", `/api/policy/files/${id}`, { text, base: file.version })
      .then(() => get<File>(`/api/policy/files/${id}`))
      .then((saved) => {
        setFile(saved);
        setDirty(editor.current?.text() !== saved.text);
        setTrouble(null);
        setSaid("Saved and in force");
        onSaved();
      })
      .catch((error) => {
        const problems = problemsOf(error);
        const own = problems.flatMap(({ places }) => places).find((place) => place.id === id);
        if (own) {
          editor.current?.setMarks(marks(problems, id));
          editor.current?.goTo(own.line, own.column);
          editor.current?.focus();
        }
        if (problems.length > 0) {
          setVerdict({ kind: "checked", checked: { problems, tests: null } });
        }
        setTrouble(error instanceof ApiError && error.status === 409 ? `${words(error)}; copy your text and open it anew.` : words(error));
      });
  };

  const remove = () => {
    const what = held === "replaced" ? "The shipped file holds again." : "Its rules are gone.";
    if (file && confirm(`Remove ${id}? ${what} It can be brought back from the list of generations.`)) {
      call("DELETE", `/api/policy/files/${id}?base=${file.version}`).then(
        () => {
          setDirty(false);
          onSaved();
          setTimeout(() => navigate("/policies"));
        },
        (error) => setTrouble(words(error)),
      );
    }
  };

  const takeOver = () => {
    setLocked(false);
    editor.current?.setReadOnly(false);
    editor.current?.focus();
  };

  const changeRule = () => {
    const rule = ruleAt(editor.current?.text() ?? "", editor.current?.line() ?? 1);
    const target = `${id.split("/")[0]}/90-local.toml`;
    carried = { id: target, text: `\n[[change]]\nid  = ${JSON.stringify(rule ?? "")}\nset = { }\n` };
    navigate(`/policies/${target}`);
  };

  const errors = verdict.kind === "checked" ? verdict.checked.problems.filter(({ severity }) => severity === "error").length : 0;
  return (
    <section class="editor" aria-labelledby="file-name">
      <div class="section-head">
        <h2 id="file-name">{id}</h2>
        <div class="actions">
          <span class="said" role="status">
            {said || (dirty ? "Not saved" : "")}
          </span>
          {!locked && held !== null && held !== "shipped" && (
            <button type="button" onClick={remove}>
              Remove
            </button>
          )}
          {!locked && (
            <button type="button" class="primary" disabled={!dirty || errors > 0} onClick={() => save.current()} title="Ctrl+S">
              Save
            </button>
          )}
        </div>
      </div>
      {locked && (
        <div class="locked">
          <p>
            This file ships with rkgate. Change single rules in a file of your own, so that the rest follows later versions; or take the
            whole file over.
          </p>
          <div class="actions">
            <button type="button" onClick={changeRule}>
              Change the rule at the cursor
            </button>
            <button type="button" onClick={takeOver}>
              Take the file over
            </button>
          </div>
        </div>
      )}
      {trouble && <Notice kind="bad" title={trouble} />}
      <div ref={host} class="code" />
      <Result verdict={verdict} id={id} goTo={(line, column) => (editor.current?.goTo(line, column), editor.current?.focus())} />
      {!locked && (
        <PolicyTrial id={id} text={() => editor.current?.text() ?? ""} disabled={errors > 0 || verdict.kind !== "checked"} />
      )}
    </section>
  );
}

interface ResultProps {
  verdict: Verdict;
  id: string;
  goTo: (line: number, column: number) => void;
}

function Result({ verdict, id, goTo }: ResultProps) {
  if (verdict.kind === "trouble") {
    return <Notice kind="bad" title={verdict.words} />;
  }
  if (verdict.kind === "checking") {
    return <p class="muted">Checking…</p>;
  }
  const { problems, tests } = verdict.checked;
  return (
    <div class="result" aria-live="polite">
      {tests !== null && <p class="fine">All files are fine with this{tests > 0 && `, and ${tests === 1 ? "its test passes" : `${tests} tests pass`}`}.</p>}
      {problems.length > 0 && <Problems problems={problems} here={id} goTo={(place) => goTo(place.line, place.column)} />}
    </div>
  );
}

function marks(problems: Problem[], id: string): Mark[] {
  return problems.flatMap(({ severity, message, help, places }) => {
    const text = [message, ...help.map((help) => `Hint: ${help}`)].join("\n");
    return places.filter((place) => place.id === id).map((place) => ({ ...place, severity, message: place.label ? `${text}\n${place.label}` : text }));
  });
}

function problemsOf(error: unknown): Problem[] {
  const body = error instanceof ApiError ? error.body : null;
  return typeof body === "object" && body !== null && "problems" in body ? (body.problems as Problem[]) : [];
}

function beginning(id: string): string {
  const kind = id.startsWith("rules/") ? "rules" : "policies";
  return `#:schema ./${kind}.schema.json\nschema = 1\n`;
}

/** The id by which a `[[change]]` names the rule in whose table the line stands. */
export function ruleAt(text: string, line: number): string | null {
  const lines = text.split("\n");
  const isHeader = (line: string) => /^\s*\[\[?[\w."-]+\]\]?\s*(#.*)?$/.test(line);
  let start = line - 1;
  while (start > 0 && !isHeader(lines[start] ?? "")) {
    start -= 1;
  }
  const profile = /^\s*\[profile\.(?:"([^"]+)"|([\w-]+))\]/.exec(lines[start] ?? "");
  if (profile) {
    return `profile.${profile[1] ?? profile[2]}`;
  }
  let matched: string | null = null;
  for (let at = start + 1; at < lines.length && !isHeader(lines[at] ?? ""); at += 1) {
    const key = /^(id|match)\s*=\s*"([^"]+)"/.exec(lines[at] ?? "");
    if (key?.[1] === "id") {
      return key[2] ?? null;
    }
    matched ??= key?.[2] ?? null;
  }
  return matched;
}
