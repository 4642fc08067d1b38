// What differs between two texts, line by line first: a prompt from which much was taken keeps its other lines beside
// each other, which a comparison of characters loses in long texts.

import { Change, diff, presentableDiff } from "@codemirror/merge";

/** Longest piece of changed lines whose words are compared, in characters. */
const LONGEST_PIECE = 20_000;
/** Texts of megabytes that have nothing in common must not hold the page up. */
const LIMITS = { scanLimit: 2000, timeout: 300 };
/** Characters that stand for lines: so many are neither control characters nor halves of others. */
const FIRST = 0x100;
const MOST = 0xd800 - FIRST;

export function lineDiff(a: string, b: string): readonly Change[] {
  const numbers = new Map<string, number>();
  const linesA = lines(a);
  const linesB = lines(b);
  const encode = (lines: string[]) =>
    lines
      .map((line) => {
        const number = numbers.get(line) ?? numbers.size;
        numbers.set(line, number);
        return String.fromCharCode(FIRST + (number % MOST));
      })
      .join("");
  const [codesA, codesB] = [encode(linesA), encode(linesB)];
  if (numbers.size > MOST) {
    return presentableDiff(a, b, LIMITS);
  }
  const [startsA, startsB] = [starts(linesA), starts(linesB)];
  return diff(codesA, codesB, LIMITS).flatMap((change) => {
    const [fromA, toA] = [startsA[change.fromA] ?? 0, startsA[change.toA] ?? a.length];
    const [fromB, toB] = [startsB[change.fromB] ?? 0, startsB[change.toB] ?? b.length];
    if (fromA === toA || fromB === toB || Math.max(toA - fromA, toB - fromB) > LONGEST_PIECE) {
      return [new Change(fromA, toA, fromB, toB)];
    }
    const within = presentableDiff(a.slice(fromA, toA), b.slice(fromB, toB), LIMITS);
    return within.map((it) => new Change(fromA + it.fromA, fromA + it.toA, fromB + it.fromB, fromB + it.toB));
  });
}

/** With their line breaks. */
const lines = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** Where each line begins, and the end. */
function starts(lines: string[]): number[] {
  let at = 0;
  return [0, ...lines.map((line) => (at += line.length))];
}
