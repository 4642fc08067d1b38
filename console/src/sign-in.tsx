import { useState } from "preact/hooks";
import { call, words } from "./api";

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [key, setKey] = useState("");
  const [trouble, setTrouble] = useState<string | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    call("POST", "/api/session", { key }).then(onSignedIn, (error) => setTrouble(words(error)));
  };
  return (
    <main class="sign-in">
      <img src="/icon.svg" alt="" width="40" height="40" />
      <h1>Sign in to rkgate</h1>
      <form onSubmit={submit}>
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autocomplete="current-password"
          required
          value={key}
          aria-describedby={trouble ? "trouble" : "about-keys"}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        {trouble && (
          <p id="trouble" class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
      <p id="about-keys" class="muted">
        A key from <code>keys.toml</code> without <code>admin = false</code>. It is exchanged for a session and not kept.
      </p>
    </main>
  );
}
