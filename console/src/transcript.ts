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
  /** Where the API listens. */
  api: string;
  keyNeeded: boolean;
  headers: Record<string, string>;
  request: ChatRequest;
}

/** The command that sends the same request again. */
export function curl({ api, keyNeeded, headers, request }: Sent): string {
  const lines = [`curl ${quoted(`${api}/v1/chat/completions`)}`, "-H 'content-type: application/json'"];
  if (keyNeeded) {
    lines.push('-H "authorization: Bearer $RKGATE_KEY"');
  }
  for (const [name, value] of Object.entries(headers)) {
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  lines.push(`--data-binary ${quoted(JSON.stringify(request))}`);
  return lines.join(" \\\n  ");
}

/** A word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
