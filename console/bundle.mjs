// What is bundled, for the build and for `npm run dev`.
import { fileURLToPath } from "node:url";

export const from = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Files that are taken as they are. */
export const copied = ["index.html", "icon.svg"];

export const options = (outdir) => ({
  // Files with names of their own instead of shared chunks: the binary lists its files by name. The editor, which is
  // most of the code, is fetched by the pages that need it.
  entryPoints: [
    { in: from("src/app.tsx"), out: "app" },
    { in: from("src/style/app.css"), out: "app" },
    { in: from("src/editor/editor.ts"), out: "editor" },
  ],
  outdir,
  bundle: true,
  format: "esm",
  external: ["/editor.js"],
  target: ["chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});
