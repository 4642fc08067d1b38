import { useState } from "preact/hooks";

/** Control characters, what turns the direction of text, and what cannot be seen. */
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffc\u{e0000}-\u{e007f}]+/gu;

/** Characters that are shown at once; the page would be slow with many millions. */
const PORTION = 20_000;

/** Text from outside: never markup, its hidden characters visible, its direction its own affair. */
export function Untrusted({ text }: { text: string }) {
  return <bdi>{visible(text)}</bdi>;
}

/** Text of any length from outside, in portions. */
export function UntrustedText({ text, label }: { text: string; label: string }) {
  const [shown, setShown] = useState(PORTION);
  const left = text.length - shown;
  return (
    <>
      <pre class="said-text" tabIndex={0} aria-label={label}>
        {visible(text.slice(0, shown))}
      </pre>
      {left > 0 && (
        <button type="button" onClick={() => setShown(shown + 10 * PORTION)}>
          Show more; {left.toLocaleString("en").replaceAll(",", " ")} characters are left
        </button>
      )}
    </>
  );
}

function visible(text: string) {
  const pieces: preact.ComponentChild[] = [];
  let from = 0;
  for (const { 0: hidden, index } of text.matchAll(HIDDEN)) {
    pieces.push(text.slice(from, index), <HiddenCharacters text={hidden} />);
    from = index + hidden.length;
  }
  return [...pieces, text.slice(from)];
}

/** Text from outside where there can be no markup, as in a title. */
export const spelled = (text: string): string => text.replaceAll(HIDDEN, (hidden) => `[${nameOf(hidden)}]`);

function nameOf(hidden: string): string {
  const characters = [...hidden];
  const first = `U+${(characters[0]?.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  return characters.length > 1 ? `${first} and ${characters.length - 1} more` : first;
}

function HiddenCharacters({ text }: { text: string }) {
  const name = nameOf(text);
  return (
    <span class="hidden-characters" title={`hidden: ${name}`}>
      {name}
    </span>
  );
}
