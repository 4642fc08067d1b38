// Where in a TOML file the cursor is, as far as completion needs to know: which table, which key, key or value.

export interface Place {
  /** Names from the file's root, e.g. `rewrite`, `when`. */
  path: string[];
  /** Whether a key or a value stands here. */
  at: "key" | "value" | "header" | "nowhere";
  /** The keys that stand in the same table already. */
  siblings: Map<string, string>;
}

interface Level {
  path: string[];
  kind: "table" | "array";
  key: string | null;
  siblings: Map<string, string>;
}

const HEADER = /^\s*\[\[?\s*([^\]]*)\]\]?/;
const BARE = /[A-Za-z0-9_-]/;

/** Reads the text before the cursor. */
export function placeAt(before: string): Place {
  const lines = before.split("\n");
  let header = lines.length - 1;
  let quoted = false;
  let start = 0;
  let name: string | null = null;
  // The last header that does not stand inside a multi-line string.
  for (const [number, line] of lines.entries()) {
    const marks = line.split('"""').length - 1 + line.split("'''").length - 1;
    if (!quoted && number < header) {
      const found = HEADER.exec(line);
      if (found && !/=/.test(line.slice(0, found.index + 1))) {
        name = found[1]!;
        start = number + 1;
      }
    }
    if (marks % 2 === 1) {
      quoted = !quoted;
    }
  }
  const last = lines[header] ?? "";
  if (!quoted && /^\s*\[/.test(last) && !last.includes("=") && isHeaderLine(lines.slice(start, header))) {
    return { path: [], at: "header", siblings: new Map() };
  }
  return read(lines.slice(start).join("\n"), name === null ? [] : keys(name));
}

/** A line that begins with `[` is a header unless it goes on with an array. */
function isHeaderLine(lines: string[]): boolean {
  let depth = 0;
  for (const line of lines) {
    for (const c of line.replace(/"(\\.|[^"\\])*"|'[^']*'|#.*/g, "")) {
      depth += c === "[" || c === "{" ? 1 : c === "]" || c === "}" ? -1 : 0;
    }
  }
  return depth <= 0;
}

function keys(dotted: string): string[] {
  return [...dotted.matchAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map((it) => it[1] ?? it[2] ?? it[3] ?? "");
}

/** Reads the part of a table before the cursor. */
function read(text: string, table: string[]): Place {
  const root: Level = { path: table, kind: "table", key: null, siblings: new Map() };
  const levels = [root];
  const here = () => levels.at(-1) ?? root;
  let word = "";
  let at = 0;
  const inside = (level: Level) => (level.key === null ? level.path : [...level.path, ...keys(level.key)]);
  while (at < text.length) {
    const c = text[at]!;
    const level = here();
    if (c === "#") {
      const end = text.indexOf("\n", at);
      if (end < 0) {
        return { path: [], at: "nowhere", siblings: new Map() };
      }
      at = end;
      continue;
    }
    if (c === '"' || c === "'") {
      const mark = text.startsWith(c.repeat(3), at) ? c.repeat(3) : c;
      const end = closing(text, at + mark.length, mark);
      if (end < 0) {
        // The cursor stands inside the string.
        const isKey = level.kind === "table" && level.key === null;
        return { path: inside(level), at: isKey || mark.length === 3 ? "nowhere" : "value", siblings: level.siblings };
      }
      const string = text.slice(at, end + mark.length);
      word += string;
      at = end + mark.length;
      continue;
    }
    if (c === "=" && level.kind === "table" && level.key === null) {
      level.key = word.trim();
      word = "";
    } else if (c === "{" || c === "[") {
      levels.push({ path: inside(level), kind: c === "{" ? "table" : "array", key: null, siblings: new Map() });
      word = "";
    } else if (c === "}" || c === "]") {
      levels.pop();
      word = "";
    } else if ((c === "," && level.kind === "table") || (c === "\n" && level === root)) {
      if (level.key !== null) {
        level.siblings.set(level.key, word.trim());
      }
      level.key = null;
      word = "";
    } else if (c === ",") {
      word = "";
    } else {
      word += c;
    }
    at += 1;
  }
  const level = here();
  const isKey = level.kind === "table" && level.key === null;
  if (isKey && [...word.trim()].some((c) => !BARE.test(c))) {
    return { path: [], at: "nowhere", siblings: level.siblings };
  }
  return { path: inside(level), at: isKey ? "key" : "value", siblings: level.siblings };
}

function closing(text: string, from: number, mark: string): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\" && mark[0] === '"') {
      at += 1;
    } else if (text.startsWith(mark, at)) {
      return at;
    } else if (text[at] === "\n" && mark.length === 1) {
      return -1;
    }
  }
  return -1;
}
