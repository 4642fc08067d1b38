// Pages have addresses of their own; links change the page without loading it anew.

import { useEffect, useState } from "preact/hooks";

const listeners = new Set<() => void>();
/** What to ask before the page is left; `null` where nothing would be lost. */
let beforeLeaving: () => string | null = () => null;
/** The address of the page that is shown. */
let shown = current();

function current(): string {
  return location.pathname + location.search;
}

function changed(): void {
  shown = current();
  for (const listener of listeners) {
    listener();
  }
}

export function navigate(path: string): void {
  const question = beforeLeaving();
  if (path !== current() && (question === null || confirm(question))) {
    history.pushState(null, "", path);
    changed();
    scrollTo(0, 0);
  }
}

/** Changes the address of the same page, e.g. its filter. */
export function readdress(path: string): void {
  history.replaceState(null, "", path);
  shown = current();
}

/** The browser went back or forth, and has the other address already. */
function travelled(): void {
  const question = beforeLeaving();
  if (current() !== shown && question !== null && !confirm(question)) {
    history.pushState(null, "", shown);
  } else {
    changed();
  }
}

/** Asks before the page is left, until the returned function is called. */
export function guardLeaving(question: () => string | null): () => void {
  beforeLeaving = question;
  // The browser asks in its own words there.
  const closing = (event: BeforeUnloadEvent) => {
    if (question() !== null) {
      event.preventDefault();
    }
  };
  addEventListener("beforeunload", closing);
  return () => {
    beforeLeaving = () => null;
    removeEventListener("beforeunload", closing);
  };
}

export interface Address {
  path: string;
  /** From the question mark on; empty without one. As it was when the page was opened. */
  query: string;
}

const here = (): Address => ({ path: location.pathname, query: location.search });

export function useAddress(): Address {
  const [address, setAddress] = useState(here);
  useEffect(() => {
    const listener = () => setAddress(here());
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return address;
}

/** Takes over clicks on links to pages of the console. */
export function followLinks(): void {
  addEventListener("popstate", travelled);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (link && plain && !event.defaultPrevented && link.origin === location.origin && !link.target && !link.hash) {
      event.preventDefault();
      navigate(link.pathname + link.search);
    }
  });
}
