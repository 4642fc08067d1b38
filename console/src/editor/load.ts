// Fetches the editor when a page needs it.

type Module = typeof import("./editor");

let loading: Promise<Module> | null = null;

export function loadEditor(): Promise<Module> {
  // The address is no import of the bundle's, so that the bundler leaves it alone.
  const address = "/editor.js";
  loading ??= import(address) as Promise<Module>;
  return loading;
}
