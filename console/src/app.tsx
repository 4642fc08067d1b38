import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, whenSignedOut, words } from "./api";
import { count, time } from "./format";
import { connect, useLive } from "./live";
import { LivePage } from "./pages/live";
import { LogPage } from "./pages/log";
import { ModelsPage } from "./pages/models";
import { PoliciesPage } from "./pages/policies";
import { RequestPage } from "./pages/request";
import { SetupPage } from "./pages/setup";
import { Notice } from "./parts/notice";
import { followLinks, useAddress, type Address } from "./router";
import { Shell } from "./shell";
import { SignIn } from "./sign-in";
import type { LogStatus, Session } from "./types";

interface Page {
  title: string;
  view: preact.ComponentChild;
}

function page({ path, query }: Address): Page {
  const below = (start: string) => (path.startsWith(start) ? decoded(path.slice(start.length)) : null);
  const named = below("/log/request/");
  if (named !== null) {
    return { title: "Request", view: <RequestPage key={path} id={named} named={true} /> };
  }
  const number = below("/log/");
  if (number !== null) {
    return { title: `Request ${number}`, view: <RequestPage key={path} id={number} named={false} /> };
  }
  const file = path === "/policies" ? "" : below("/policies/");
  if (file !== null) {
    return { title: "Policies", view: <PoliciesPage file={file} query={query} /> };
  }
  switch (path) {
    case "/":
      return { title: "Live", view: <LivePage /> };
    case "/log":
      return { title: "Log", view: <LogPage key={query} address={query} /> };
    case "/models":
      return { title: "Models", view: <ModelsPage /> };
    case "/setup":
      return { title: "Set-up", view: <SetupPage /> };
    default:
      return { title: "Not here", view: <Notice kind="empty" title="There is no such page" /> };
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // No address of ours, so that what it names is not found either.
    return path;
  }
}

function App() {
  const [session, setSession] = useState<Session | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const look = () => {
    get<Session>("/api/session").then(
      (session) => {
        setSession(session);
        setTrouble(null);
        if (session.signed_in) {
          connect();
        }
      },
      (error) => setTrouble(words(error)),
    );
  };
  useEffect(() => {
    whenSignedOut(() => setSession({ key_needed: true, signed_in: false }));
    look();
  }, []);
  if (trouble) {
    return (
      <Notice kind="bad" title={trouble}>
        <button type="button" onClick={look}>
          Try again
        </button>
      </Notice>
    );
  }
  if (!session) {
    return null;
  }
  return session.signed_in ? <Pages session={session} /> : <SignIn onSignedIn={look} />;
}

function Pages({ session }: { session: Session }) {
  const address = useAddress();
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  const { connected, log } = useLive();
  const { title, view } = page(address);
  useEffect(() => {
    document.title = `${title} · rkgate`;
    // A page that changes without being loaded is announced by its heading, and the keyboard starts there.
    if (!first.current) {
      heading.current?.focus();
    }
    first.current = false;
  }, [title]);
  return (
    <Shell path={address.path} session={session} connected={connected}>
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {log?.state === "stopped" && <LogStopped log={log} />}
      {log?.state === "running" && (log.lost > 0 || log.content_dropped > 0) && <LogIncomplete log={log} />}
      {view}
    </Shell>
  );
}

function LogStopped({ log }: { log: LogStatus }) {
  return (
    <Notice kind="bad" title={`The prompt log has stopped${log.since ? ` at ${time(log.since)}` : ""}`}>
      <p>{log.reason}</p>
      <p>
        Requests are answered as before. What fits into memory is written once the log can go on
        {log.lost > 0 && `; ${count(log.lost)} records are lost`}.
      </p>
    </Notice>
  );
}

function LogIncomplete({ log }: { log: LogStatus }) {
  return (
    <Notice kind="warn" title="The prompt log is not complete">
      <p>
        More came than could be written. Since rkgate started, {count(log.content_dropped)} records were kept without what was
        said, and {count(log.lost)} are lost.
      </p>
    </Notice>
  );
}

const root = document.getElementById("app");
if (root) {
  followLinks();
  render(<App />, root);
}
