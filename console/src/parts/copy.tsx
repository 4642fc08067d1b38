import { useState } from "preact/hooks";

/** Text to be taken elsewhere. */
export function Copyable({ text, label }: { text: string; label: string }) {
  return (
    <div class="copyable">
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}

export function CopyButton({ text, label, name = "Copy" }: { text: string; label: string; name?: string }) {
  const [said, setSaid] = useState<string | null>(null);
  const copy = () => {
    const done = (word: string) => {
      setSaid(word);
      setTimeout(() => setSaid(null), 1500);
    };
    toClipboard(text).then(
      () => done("Copied"),
      () => done("Not allowed"),
    );
  };
  return (
    <button type="button" onClick={copy} aria-label={`${name}: ${label}`}>
      <span aria-live="polite">{said ?? name}</span>
    </button>
  );
}

async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text);
  }
  // Over plain HTTP from another machine there is no clipboard interface.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) {
    throw new Error("the browser does not allow it");
  }
}
