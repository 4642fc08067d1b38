// Requests as a person reads them, and as a shell sends them.

import type { ChatMessage, ChatRequest, ContentPart } from "./types";

/** A request line by line: who says what, then the tools. */
export function transcript(request: ChatRequest): string {
  const tools = (request.tools ?? []).map(({ function: tool }) => {
    const description = (tool.description ?? "").replace(/\s+/g, " ");
    return `${tool.name}(${parameters(tool.parameters)})${description && `: ${description}`}\n`;
  });
  const messages = (request.messages ?? []).map((message) => `[${message.role}]\n${said(message)}\n`);
  return (tools.length > 0 ? [...messages, `[tools]\n${tools.join("")}`] : messages).join("\n");
}

/** The names of what a tool takes, out of its JSON Schema. */
function parameters(schema: unknown): string {
  const named = typeof schema === "object" && schema !== null && "properties" in schema ? schema.properties : null;
  return typeof named === "object" && named !== null ? Object.keys(named).join(", ") : "";
}

function said(message: ChatMessage): string {
  const lines: string[] = [];
  if (message.reasoning_content) {
    lines.push(`(thinking) ${message.reasoning_content}`);
  }
  const content = message.content ?? "";
  if (typeof content !== "string") {
    lines.push(...content.map(part));
  } else if (content !== "") {
    lines.push(content);
  }
  for (const { function: call } of message.tool_calls ?? []) {
    lines.push(`calls ${call.name}(${call.arguments})`);
  }
  return lines.join("\n");
}

function part(part: ContentPart): string {
  if (part.type === "text") {
    return part.text ?? "";
  }
  return part.image_url ? `(image of ${part.image_url.url.length} characters)` : JSON.stringify(part);
}

interface Sent {
  /** Where the API listens: `http://ADDRESS:PORT` or `unix:PATH`. */
  api: string;
  keyNeeded: boolean;
  class: string;
  headers: Record<string, string>;
  request: ChatRequest;
}

/** The command that sends the same request again. */
export function curl({ api, keyNeeded, class: name, headers, request }: Sent): string {
  const isText = name === "text_completion";
  const path = isText ? "/v1/completions" : "/v1/chat/completions";
  const lines = [`curl ${server(api, path)}`, "-H 'content-type: application/json'"];
  if (keyNeeded) {
    lines.push('-H "authorization: Bearer $RKGATE_KEY"');
  }
  for (const [name, value] of Object.entries(headers)) {
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  // A word of a command may not be as long as a picture is. JSON is one line, and so never the one that ends it.
  lines.push("--data-binary @- <<'END'");
  return `${lines.join(" \\\n  ")}\n${JSON.stringify(isText ? textRequest(request) : request)}\nEND\n`;
}

function server(api: string, path: string): string {
  if (api.startsWith("unix:")) {
    return `--unix-socket ${quoted(api.slice("unix:".length))} ${quoted(`http://localhost${path}`)}`;
  }
  // Where it listens on every address, this page was reached by one of them.
  return quoted(api.replace(/\/\/(0\.0\.0\.0|\[::\])/, `//${location.hostname}`) + path);
}

/** A request of `/v1/completions`; the log has its prompt as a message. */
function textRequest({ messages = [], ...rest }: ChatRequest): object {
  return { ...rest, prompt: messages.map(({ content }) => content ?? "").join("") };
}

/** A word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
