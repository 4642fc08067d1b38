import { useEffect, useRef, useState } from "preact/hooks";
import { words } from "../api";
import { loadEditor } from "../editor/load";
import { Notice } from "./notice";

interface Props {
  before: string;
  after: string;
  /** What the two are, for screen readers. */
  names: [string, string];
}

/** Width of the page, in pixels, from which two texts have room side by side. */
const ROOM_FOR_TWO = 760;

/** Longest line of the editor, in characters: one of a megabyte would hold the page up for minutes. */
const LONGEST_LINE = 1000;

const broken = (text: string): string => text.replace(new RegExp(`[^\\n]{${LONGEST_LINE}}(?!\\n)`, "gu"), "$&\n");

/** Two texts and what differs between them; very long lines are broken. */
export function Diff({ before, after, names }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [beside, setBeside] = useState(() => matchMedia(`(min-width: ${ROOM_FOR_TWO}px)`).matches);
  useEffect(() => {
    const room = matchMedia(`(min-width: ${ROOM_FOR_TWO}px)`);
    const look = () => setBeside(room.matches);
    room.addEventListener("change", look);
    return () => room.removeEventListener("change", look);
  }, []);
  useEffect(() => {
    let mounted: { destroy(): void } | null = null;
    let gone = false;
    loadEditor().then(
      ({ mountDiff }) => {
        if (!gone && host.current) {
          mounted = mountDiff(host.current, broken(before), broken(after), beside, names);
        }
      },
      (error) => setTrouble(words(error)),
    );
    return () => {
      gone = true;
      mounted?.destroy();
    };
  }, [before, after, beside, ...names]);
  return (
    <>
      {trouble && <Notice kind="bad" title={trouble} />}
      <div ref={host} class="diff" />
    </>
  );
}
