// The editor and the diff, in a file of their own that is fetched when a page needs them.
//
// Both live in a shadow root: CodeMirror then adopts its style sheets there, which the content security policy allows,
// instead of writing style elements into the page, which it does not.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, type Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { completer, type Schema } from "./complete";
import { lineDiff } from "./line-diff";

/** A place in the text: lines and columns count from 1, columns in characters. */
export interface Span {
  line: number;
  column: number;
  end_line: number;
  end_column: number;
}

export interface Mark extends Span {
  severity: "error" | "warning";
  message: string;
}

export interface Editor {
  text(): string;
  setText(text: string): void;
  setReadOnly(readOnly: boolean): void;
  setMarks(marks: Mark[]): void;
  /** Puts the cursor there and shows it. */
  goTo(line: number, column?: number): void;
  line(): number;
  focus(): void;
  destroy(): void;
}

interface Options {
  parent: HTMLElement;
  label: string;
  text: string;
  readOnly: boolean;
  schema: Schema | null;
  onChange: () => void;
  onSave: () => void;
}

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.attributeName], color: "var(--syntax-key)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--syntax-string)" },
  { tag: [tags.number, tags.bool, tags.atom], color: "var(--syntax-value)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.bracket, tags.keyword], color: "var(--syntax-table)" },
]);

const look = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--text)", backgroundColor: "var(--surface)", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--muted)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--raised) 50%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent)",
  },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionInfo": { maxWidth: "44ch" },
  ".cm-diagnostic": { fontFamily: "var(--sans)", whiteSpace: "pre-wrap" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warn) 35%, transparent)" },
  ".cm-specialChar": { color: "var(--bad)" },
  ".cm-mergeView": { height: "100%" },
  ".cm-changedLine": { backgroundColor: "color-mix(in srgb, var(--ok) 9%, transparent)" },
  ".cm-changedText": { background: "color-mix(in srgb, var(--ok) 28%, transparent)" },
  "&.cm-merge-b .cm-changedText": { background: "color-mix(in srgb, var(--ok) 28%, transparent)" },
  "&.cm-merge-a .cm-changedLine": { backgroundColor: "color-mix(in srgb, var(--bad) 9%, transparent)" },
  "&.cm-merge-a .cm-changedText": { background: "color-mix(in srgb, var(--bad) 25%, transparent)" },
  ".cm-deletedChunk": { backgroundColor: "color-mix(in srgb, var(--bad) 9%, transparent)" },
  ".cm-deletedChunk .cm-deletedText": { background: "color-mix(in srgb, var(--bad) 25%, transparent)" },
  ".cm-collapsedLines": { background: "var(--raised)", color: "var(--muted)", fontFamily: "var(--sans)" },
});

/** Beside control characters: what turns the direction of text, and what cannot be seen. */
const hidden = /[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffc\u{e0000}-\u{e007f}]/gu;

const common: Extension = [
  look,
  syntaxHighlighting(colours),
  highlightSpecialChars({ addSpecialChars: hidden }),
  drawSelection(),
  search({ top: true }),
  lineNumbers(),
  EditorView.lineWrapping,
];

/** The text is in the order of the keyboard, also for programs that do not count what is editable to it. */
const named = (label: string): Extension => EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" });

function shadow(parent: HTMLElement): ShadowRoot {
  return parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
}

export function mountEditor({ parent, label, text, readOnly, schema, onChange, onSave }: Options): Editor {
  const root = shadow(parent);
  const locked = new Compartment();
  const lock = (readOnly: boolean) => locked.reconfigure(lockedAs(readOnly));
  const save = { key: "Mod-s", preventDefault: true, run: () => (onSave(), true) };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        common,
        StreamLanguage.define(toml),
        history(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        lintGutter(),
        autocompletion({ override: schema ? [completer(schema)] : [], icons: false }),
        // Tab leaves the editor, as it leaves every field: who cannot use a mouse would be caught otherwise.
        keymap.of([save, ...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...lintKeymap, ...defaultKeymap]),
        named(label),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) {
            onChange();
          }
        }),
        locked.of(lockedAs(readOnly)),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    setText: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    setReadOnly: (readOnly) => view.dispatch({ effects: lock(readOnly) }),
    setMarks: (marks) => view.dispatch(setDiagnostics(view.state, marks.map((mark) => diagnostic(view.state.doc, mark)))),
    goTo: (line, column = 1) => {
      const at = offset(view.state.doc, line, column);
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
    },
    line: () => view.state.doc.lineAt(view.state.selection.main.head).number,
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

/** It stays in the order of the keyboard, so that it can be read and searched. */
const lockedAs = (readOnly: boolean): Extension => EditorState.readOnly.of(readOnly);

function diagnostic(doc: Text, mark: Mark): Diagnostic {
  const from = offset(doc, mark.line, mark.column);
  const to = Math.max(from, offset(doc, mark.end_line, mark.end_column));
  return { from, to, severity: mark.severity, message: mark.message };
}

/** The text counts in UTF-16 units. */
function offset(doc: Text, line: number, column: number): number {
  const { from, text } = doc.line(Math.min(Math.max(line, 1), doc.lines));
  return from + [...text].slice(0, column - 1).join("").length;
}

export interface Diff {
  destroy(): void;
}

/** Two texts side by side, or one below the other where there is no room. */
export function mountDiff(parent: HTMLElement, before: string, after: string, sideBySide: boolean, names: [string, string]): Diff {
  const root = shadow(parent);
  const fixed: Extension = [common, EditorState.readOnly.of(true)];
  const collapseUnchanged = { margin: 3, minSize: 8 };
  const diffConfig = { override: lineDiff };
  if (sideBySide) {
    return new MergeView({
      root,
      parent: root,
      a: { doc: before, extensions: [fixed, named(names[0])] },
      b: { doc: after, extensions: [fixed, named(names[1])] },
      collapseUnchanged,
      diffConfig,
      gutter: true,
    });
  }
  const merge = unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged, diffConfig });
  return new EditorView({ root, parent: root, doc: after, extensions: [fixed, named(`what differs between ${names.join(" and ")}`), merge] });
}
