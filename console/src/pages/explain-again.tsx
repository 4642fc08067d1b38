import { useState } from "preact/hooks";
import { get, words } from "../api";
import { className, count } from "../format";
import { Diff } from "../parts/diff";
import { Notice } from "../parts/notice";
import { Story } from "../parts/story";
import { Untrusted } from "../parts/untrusted";
import { transcript } from "../transcript";
import type { Explanation, LoggedContent, LoggedRequest } from "../types";

interface Props {
  request: LoggedRequest;
  content: LoggedContent;
}

/** What the rules and policies of now would make of a logged request. */
export function ExplainAgain({ request, content }: Props) {
  const [now, setNow] = useState<Explanation | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const explain = () => {
    get<Explanation>(`/api/log/${request.id}/explain`).then(
      (explanation) => {
        setNow(explanation);
        setTrouble(null);
      },
      (error) => setTrouble(words(error)),
    );
  };
  return (
    <section aria-labelledby="again">
      <div class="section-head">
        <h2 id="again">With the policies of now</h2>
        <button type="button" onClick={explain}>
          Explain again
        </button>
      </div>
      {trouble && <Notice kind="bad" title={trouble} />}
      {now && <Comparison request={request} content={content} now={now} />}
    </section>
  );
}

function Comparison({ request, content, now }: Props & { now: Explanation }) {
  const { decision } = now;
  const sent = transcript(content.after ?? content.before);
  const wouldSend = transcript(now.request);
  const value = (name: string) => now.sampling.find((it) => it.name === name)?.used ?? null;
  const number = (value: number | null | undefined) => (value == null ? "–" : String(Number(value.toPrecision(4))));
  const rows: [string, string, string][] = [
    ["class", className(request.class), className(decision.class)],
    ["model", request.model, decision.model],
    ["profile", request.profile ?? "–", decision.profile ?? "–"],
    ["temperature", number(content.sampling["temperature"]), number(value("temperature"))],
    ["most tokens", count(content.max_tokens), count(now.max_tokens.value)],
    ["thinking", thinking(content.thinking), thinking(decision.thinking)],
    ["refused", request.status === 403 ? "yes" : "no", decision.deny ? `by ${decision.deny.by}` : "no"],
  ];
  return (
    <>
      <p class="lead">
        By generation {now.generation}, about {count(now.prompt.tokens)} prompt tokens
        {now.prompt.unrewritten !== now.prompt.tokens && ` (${count(now.prompt.unrewritten)} as it came)`}, estimated.
      </p>
      <div class="table" role="region" aria-label="Then and now" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col" />
              <th scope="col">then</th>
              <th scope="col">now</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, then, now]) => (
              <tr key={name} class={then === now ? undefined : "differs"}>
                <th scope="row">{name}</th>
                <td>
                  <Untrusted text={then} />
                </td>
                <td>
                  <Untrusted text={now} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sent === wouldSend ? (
        <p class="fine">The same text would be sent.</p>
      ) : (
        <>
          <h3>What was sent then, and would be now</h3>
          <Diff before={sent} after={wouldSend} names={["as it was sent then", "as it would be sent now"]} />
        </>
      )}
      <Story steps={now.trace.steps} />
    </>
  );
}

const thinking = (value: boolean | null): string => (value === null ? "–" : value ? "yes" : "no");
