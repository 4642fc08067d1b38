import { useEffect, useState } from "preact/hooks";
import { get, words } from "../api";
import { duration } from "../format";
import { useLive } from "../live";
import { Copyable } from "../parts/copy";
import { Notice } from "../parts/notice";
import type { Finding, LiveRequest, Setup } from "../types";

export function SetupPage() {
  const [setup, setSetup] = useState<Setup | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const look = () => {
    setTrouble(null);
    get<Setup>("/api/setup").then(setSetup, (error) => setTrouble(words(error)));
  };
  useEffect(look, []);
  if (trouble) {
    return <Notice kind="bad" title={trouble} />;
  }
  if (!setup) {
    return <p class="muted">Looking at this machine…</p>;
  }
  const { open_webui: webui, findings } = setup;
  return (
    <>
      <section aria-labelledby="connect">
        <h2 id="connect">Connect Open WebUI</h2>
        <ol class="steps">
          <li>
            <p>
              In Open WebUI: <em>Admin Panel</em>, <em>Settings</em>, <em>Connections</em>, <em>OpenAI API</em>, <em>+</em>. URL:
            </p>
            <Url url={webui.url.replace("<this machine>", location.hostname)} />
          </li>
          <li>
            <p>{webui.key_needed ? "Key: one of the keys in keys.toml." : "Key: anything, e.g. none; this rkgate asks for no key."}</p>
          </li>
          <li>
            <p>
              Headers of the connection. With them, titles, tags and the like are told apart with certainty, and chats and users are
              kept apart:
            </p>
            <Copyable text={webui.headers} label="headers for Open WebUI" />
            <p class="muted">
              Users take turns, and what somebody types on makes only their own older requests pointless. Without
              X-OpenWebUI-User-Id all who share an API key are one user. Open WebUI also sends it where{" "}
              <code>ENABLE_FORWARD_USER_INFO_HEADERS</code> is set.
            </p>
          </li>
          <li>
            <p>Save, start a new chat there, and look here:</p>
            <Arrivals />
          </li>
        </ol>
      </section>
      <section aria-labelledby="findings">
        <div class="section-head">
          <h2 id="findings">This machine</h2>
          <button type="button" onClick={look}>
            Look again
          </button>
        </div>
        <Findings findings={findings} />
      </section>
    </>
  );
}

function Url({ url }: { url: string }) {
  if (!url.startsWith("http")) {
    return <p>The API listens on a socket. Enter the address of the proxy in front of it, with /v1 at its end.</p>;
  }
  const contained = url.replace(/\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])/, "//host.docker.internal");
  return (
    <>
      <Copyable text={url} label="URL for Open WebUI" />
      <p class="muted">
        From a container: <code>{contained}</code>, with <code>listen.api</code> on an address that the container reaches.
      </p>
    </>
  );
}

/** Whether requests come, and Open WebUI's headers with them. */
function Arrivals() {
  const { running, ended, skew } = useLive();
  const requests = [...running].reverse().concat(ended);
  const newest = requests[0];
  if (!newest) {
    return <Notice kind="empty" title="No request has come yet" />;
  }
  const ago = Date.now() - skew - newest.arrived;
  const last = ago < 1000 ? "just now" : `${duration(ago)} ago`;
  const task = carried(requests, "x-openwebui-task");
  const chat = carried(requests, "x-openwebui-chat-id");
  if (task > 0 && chat > 0) {
    return (
      <Notice kind="ok" title={`Requests come, the last one ${last}, and the headers with them.`}>
        <p class="muted">
          Of the last {requests.length} requests {task} told their task, {chat} their chat and{" "}
          {carried(requests, "x-openwebui-user-id")} their user.
        </p>
      </Notice>
    );
  }
  const missing = [task === 0 && "X-OpenWebUI-Task", chat === 0 && "X-OpenWebUI-Chat-Id"].filter(Boolean).join(" and ");
  return (
    <Notice kind="warn" title={`Requests come, the last one ${last}, but without ${missing}.`}>
      <p class="muted">
        Paste the headers above into the connection (Open WebUI 0.10.2 or later). Until then tasks are recognised by their words.
      </p>
    </Notice>
  );
}

const carried = (requests: LiveRequest[], header: string) =>
  requests.filter((request) => request.webui_headers.includes(header)).length;

const WORDS = { ok: "fine", warn: "could be better", fail: "does not work" };

function Findings({ findings }: { findings: Finding[] }) {
  const worst = { fail: 0, warn: 1, ok: 2 };
  const sorted = [...findings].sort((a, b) => worst[a.status] - worst[b.status]);
  return (
    <ul class="findings">
      {sorted.map((finding) => (
        <li key={finding.about + finding.message} class={finding.status}>
          <p>
            <span class="about">{finding.about}</span>
            <span class="verdict">{WORDS[finding.status]}</span>
            <span class="message">{finding.message}</span>
          </p>
          {finding.fix && <Copyable text={finding.fix} label={`cure for ${finding.about}`} />}
        </li>
      ))}
    </ul>
  );
}
