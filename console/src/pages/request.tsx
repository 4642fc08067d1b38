import { useEffect, useState } from "preact/hooks";
import { ApiError, get, words } from "../api";
import { count, percent, speed, time } from "../format";
import { ClassMark } from "../parts/class-mark";
import { CopyButton } from "../parts/copy";
import { Diff } from "../parts/diff";
import { Notice } from "../parts/notice";
import { Story } from "../parts/story";
import { TimingBar } from "../parts/timing-bar";
import { Untrusted, UntrustedText } from "../parts/untrusted";
import { curl, transcript } from "../transcript";
import type { LoggedContent, LoggedRequest, LogPage, State } from "../types";
import { ExplainAgain } from "./explain-again";
import { ending } from "./log";

/** A request that has just ended is written a moment later. */
const TRIES = 10;
const PAUSE = 700;

/** `id` is the record's number, or, with `named`, the request's own id. */
export function RequestPage({ id, named }: { id: string; named: boolean }) {
  const [request, setRequest] = useState<LoggedRequest | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    find(id, named, abort.signal).then(
      (found) => (found ? setRequest(found) : setTrouble("There is no such request in the log, or no longer")),
      (error) => abort.signal.aborted || setTrouble(words(error)),
    );
    return () => abort.abort();
  }, [id, named]);
  if (trouble) {
    return (
      <Notice kind="bad" title={trouble}>
        <a href="/log">To the log</a>
      </Notice>
    );
  }
  if (!request) {
    return <p class="muted">Looking it up…</p>;
  }
  return <Request request={request} />;
}

async function find(id: string, named: boolean, signal: AbortSignal): Promise<LoggedRequest | null> {
  let number: string | number | undefined = named ? undefined : id;
  for (let tries = 0; number === undefined && tries < TRIES; tries += 1) {
    if (tries > 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    number = (await get<LogPage>(`/api/log?limit=1&request_id=${encodeURIComponent(id)}`, signal)).records[0]?.id;
  }
  if (number === undefined) {
    return null;
  }
  return get<LoggedRequest>(`/api/log/${number}`, signal).catch((error) => {
    if (error instanceof ApiError && error.status === 404) {
      return null;
    }
    throw error;
  });
}

const WITHOUT = {
  off: "The configuration keeps no content (log.content).",
  opted_out: "The request asked for its content not to be kept.",
  dropped: "The writer could not keep up; the content was left out.",
  unread: "Its text is not kept: it could not be read, or is of a kind that rkgate does not look into, such as embeddings.",
  damaged: "The record is damaged: its content cannot be read.",
  full: "",
  redacted: "",
};

function Request({ request }: { request: LoggedRequest }) {
  const { content } = request;
  return (
    <>
      <Facts request={request} />
      <section aria-labelledby="time">
        <h2 id="time">Time</h2>
        <TimingBar request={request} />
      </section>
      {content ? (
        <WithContent request={request} content={content} />
      ) : (
        <Notice kind="empty" title={WITHOUT[request.kept] || "No content was kept"} />
      )}
    </>
  );
}

/** Why the rest of a prompt was read. */
const MISSES: Record<string, string> = {
  new_chat: "the conversation was not known",
  task: "a task stands for itself",
  system_changed: "the system message or the tools have changed",
  trimmed: "the oldest messages were left out",
  rewritten: "earlier messages have changed",
  intruded: "the model had run something else in between",
  evicted: "the model had been unloaded in between",
};

function found({ usage, miss }: LoggedRequest): string | null {
  if (!usage || !miss) {
    return null;
  }
  return `${count(usage.cached)} of ${count(usage.prompt)} tokens reused; the rest was read because ${MISSES[miss] ?? miss}`;
}

/** Who answers, where it is no upstream. */
const ANSWERERS: Record<string, string> = { rkllm: "the NPU", rkgate: "a rule, without a model" };

function heading(request: LoggedRequest, content: LoggedContent): string {
  if (content.after) {
    return wasSent(request) ? "What came, and what was sent" : "What came, and what rules made of it";
  }
  return wasSent(request) ? "What came; no rule changed it" : "What came";
}

/** Whether anything was sent to a model, as far as its answer tells. */
function wasSent({ model, provider, status, timings }: LoggedRequest): boolean {
  return model !== "" && provider !== "rkgate" && (status < 400 || timings.first_token_ms !== null);
}

function WithContent({ request, content }: { request: LoggedRequest; content: LoggedContent }) {
  const before = transcript(content.before) || "(no messages)";
  return (
    <>
      {request.kept === "redacted" && (
        <Notice kind="empty" title="What tells of a person or lets somebody in was redacted before it was written." />
      )}
      <section aria-labelledby="text">
        <div class="section-head">
          <h2 id="text">{heading(request, content)}</h2>
          <CopyCurl content={content} name={request.class} />
        </div>
        <p class="muted">As rkgate reads it: what means the same is written in one way, and defaults are left out.</p>
        {content.after ? (
          <Diff before={before} after={transcript(content.after)} names={["as it came", wasSent(request) ? "as it was sent" : "as rules made it"]} />
        ) : (
          <UntrustedText text={before} label="the request" />
        )}
      </section>
      <section aria-labelledby="why">
        <h2 id="why">Why</h2>
        <Story steps={content.trace} />
        <Sampling content={content} />
      </section>
      <Answer content={content} request={request} />
      <ExplainAgain request={request} content={content} />
    </>
  );
}

function Facts({ request }: { request: LoggedRequest }) {
  const { usage, timings, conversation, error } = request;
  const facts: [string, preact.ComponentChild][] = [
    ["Class", <ClassMark name={request.class} />],
    ["Model", <Untrusted text={request.model || "none"} />],
    ["Asked for", request.asked === request.model ? null : <Untrusted text={request.asked} />],
    ["Answered by", ANSWERERS[request.provider] ?? (request.provider && <Untrusted text={request.provider} />)],
    ["Came", <time dateTime={request.time}>{time(Date.parse(request.time))}</time>],
    ["End", error ? null : <Untrusted text={ending(request)} />],
    ["Prompt", usage && `${count(usage.prompt)} tokens, ${percent(usage.cached, usage.prompt)} reused`],
    ["KV cache", found(request)],
    ["Answer", usage && `${count(usage.completion)} tokens${usage.reasoning > 0 ? `, ${count(usage.reasoning)} of them thinking` : ""}`],
    ["Speed", timings.tokens_per_second !== null && speed(timings.tokens_per_second)],
    ["Labels", request.labels.length > 0 && request.labels.join(", ")],
    ["Profile", request.profile],
    ["Policies", request.policy > 0 && `generation ${request.policy}`],
    ["Client", request.client && <Untrusted text={request.client} />],
    ["User", request.user && <Untrusted text={request.user} />],
    ["Gateway", request.instance && <Untrusted text={request.instance} />],
    ["Conversation", conversation && <a href={`/log?since=&conversation=${encodeURIComponent(conversation)}`}>its other requests</a>],
    ["Id", <code>{request.request_id}</code>],
  ];
  return (
    <>
      {error && (
        <Notice kind="bad" title={request.status === 499 ? "The client left" : `It ended with ${request.status}`}>
          <p>
            <Untrusted text={error} />
          </p>
        </Notice>
      )}
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
    </>
  );
}

function CopyCurl({ content, name }: { content: LoggedContent; name: string }) {
  const [state, setState] = useState<State | null>(null);
  useEffect(() => {
    get<State>("/api/state").then(setState, () => {});
  }, []);
  if (!state) {
    return null;
  }
  const { headers, before: request } = content;
  const command = curl({ api: state.api, keyNeeded: state.api_keys, class: name, headers, request });
  return <CopyButton text={command} label="the request as it came, for a shell" name="Copy as curl" />;
}

function Sampling({ content: { sampling, max_tokens, thinking } }: { content: LoggedContent }) {
  const values = Object.entries(sampling).filter(([, value]) => value !== null);
  const told = [
    ...values.map(([name, value]) => `${name} ${Number(value).toPrecision(3).replace(/\.?0+$/, "")}`),
    ...(max_tokens === null ? [] : [`at most ${count(max_tokens)} tokens`]),
    ...(thinking === null ? [] : [thinking ? "with thinking" : "without thinking"]),
  ];
  return told.length > 0 ? <p class="muted">Really used: {told.join(", ")}.</p> : null;
}

function Answer({ content: { answer, unread }, request }: { content: LoggedContent; request: LoggedRequest }) {
  return (
    <section aria-labelledby="answer">
      <h2 id="answer">Answer</h2>
      {unread && (
        <p class="muted">
          Answer not read: <Untrusted text={unread} />.
        </p>
      )}
      {answer.reasoning !== "" && (
        <details>
          <summary>Thinking, {count(answer.reasoning.length)} characters</summary>
          <UntrustedText text={answer.reasoning} label="thinking" />
        </details>
      )}
      {answer.content !== "" && <UntrustedText text={answer.content} label="the answer" />}
      {answer.tool_calls.map((call, index) => (
        <UntrustedText key={index} text={`calls ${call.name}(${call.arguments})`} label={`tool call ${index + 1}`} />
      ))}
      {answer.content === "" && answer.tool_calls.length === 0 && !unread && (
        <p class="muted">{request.status < 400 ? "Nothing visible was said." : "There was none."}</p>
      )}
    </section>
  );
}
