import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { call } from "./api";
import type { Session } from "./types";

const PAGES = [
  ["/", "Live"],
  ["/log", "Log"],
  ["/policies", "Policies"],
  ["/models", "Models"],
  ["/setup", "Set-up"],
] as const;

interface Props {
  path: string;
  session: Session;
  connected: boolean;
  children: ComponentChildren;
}

export function Shell({ path, session, connected, children }: Props) {
  const isHere = (page: string) => (page === "/" ? path === "/" : path.startsWith(page));
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="side">
        <a class="brand" href="/">
          <img src="/icon.svg" alt="" width="24" height="24" />
          rkgate
        </a>
        <nav aria-label="Pages">
          <ul>
            {PAGES.map(([page, name]) => (
              <li key={page}>
                <a href={page} aria-current={isHere(page) ? "page" : undefined}>
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="side-end">
          <p class={connected ? "link-state on" : "link-state off"} role="status">
            {connected ? "Connected" : "No connection"}
          </p>
          <ThemeChoice />
          {session.key_needed && (
            <button type="button" class="quiet" onClick={() => void signOut()}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

async function signOut(): Promise<void> {
  await call("DELETE", "/api/session");
  location.assign("/");
}

const THEMES = ["system", "light", "dark"] as const;

function ThemeChoice() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "system");
  document.documentElement.dataset["theme"] = theme;
  return (
    <label class="theme">
      Theme
      <select
        value={theme}
        onChange={(event) => {
          localStorage.setItem("theme", event.currentTarget.value);
          setTheme(event.currentTarget.value);
        }}
      >
        {THEMES.map((theme) => (
          <option key={theme} value={theme}>
            {theme}
          </option>
        ))}
      </select>
    </label>
  );
}
