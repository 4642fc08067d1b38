// What is bundled, for the build and for `npm run dev`.
import { fileURLToPath } from "node:url";

export const from = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Files that are taken as they are. */
export const copied = ["index.html", "icon.svg"];

export const options = (outdir) => ({
  entryPoints: [
    { in: from("src/app.tsx"), out: "app" },
    { in: from("src/style/app.css"), out: "app" },
  ],
  outdir,
  bundle: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});
