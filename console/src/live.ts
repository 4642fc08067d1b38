// What goes on right now, from /api/events.

import { useEffect, useState } from "preact/hooks";
import { get, signedOut } from "./api";
import type { BoardReadings, Engine, LiveRequest, LogStatus, Session } from "./types";

export interface Live {
  connected: boolean;
  running: LiveRequest[];
  /** Newest first. */
  ended: LiveRequest[];
  board: BoardReadings | null;
  engine: Engine | null;
  log: LogStatus | null;
  /** This machine's clock minus the board's, in ms. */
  skew: number;
}

/** As many as the gateway remembers. */
const REMEMBERED = 200;

let state: Live = { connected: false, running: [], ended: [], board: null, engine: null, log: null, skew: 0 };
let source: EventSource | null = null;
const listeners = new Set<(live: Live) => void>();

function change(next: Partial<Live>): void {
  state = { ...state, ...next };
  for (const listener of listeners) {
    listener(state);
  }
}

/** Starts to listen, or starts anew. */
export function connect(): void {
  source?.close();
  source = new EventSource("/api/events");
  // A new stream tells everything from the start.
  source.onopen = () => change({ connected: true, ended: [] });
  source.onerror = () => {
    change({ connected: false });
    // The browser tries again by itself, but not after a refusal.
    if (source?.readyState === EventSource.CLOSED) {
      setTimeout(() => void again(), 3000);
    }
  };
  source.addEventListener("requests", (event) => {
    const { running, ended, now } = JSON.parse(event.data) as { running: LiveRequest[]; ended: LiveRequest[]; now: number };
    const newest = ended.reverse().concat(state.ended).slice(0, REMEMBERED);
    change({ running, ended: newest, skew: Date.now() - now });
  });
  source.addEventListener("board", (event) => {
    const { board, engine, log } = JSON.parse(event.data) as { board: BoardReadings; engine: Engine; log: LogStatus };
    change({ board, engine, log });
  });
}

/** Listens again, unless the gateway has forgotten who is here: a stream does not say why it was refused. */
async function again(): Promise<void> {
  const session = await get<Session>("/api/session").catch(() => null);
  if (session && !session.signed_in) {
    signedOut();
  } else {
    connect();
  }
}

export function useLive(): Live {
  const [live, setLive] = useState(state);
  useEffect(() => {
    listeners.add(setLive);
    setLive(state);
    return () => listeners.delete(setLive);
  }, []);
  return live;
}
