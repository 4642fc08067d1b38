// Bundles the console into ../src/console/assets, or into the directory given as the first argument.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { copied, from, options } from "./bundle.mjs";

const MANIFEST = "files.sha256";
const assets = from("../src/console/assets");
const out = process.argv[2] ?? assets;

await mkdir(out, { recursive: true });
await build(options(out));
for (const file of copied) {
  await copyFile(from(`src/${file}`), `${out}/${file}`);
}

// What was built from what, so that `sha256sum --check` tells without Node.js whether the assets are current.
const below = async (dir) => (await readdir(from(dir), { recursive: true, withFileTypes: true })).filter((it) => it.isFile());
const paths = async (dir) => (await below(dir)).map((file) => `${file.parentPath}/${file.name}`);
const beside = ["build.mjs", "bundle.mjs", "package.json", "package-lock.json", "tsconfig.json"].map(from);
const root = from("..");
const built = (await readdir(out)).filter((name) => name !== MANIFEST).map((name) => [`${out}/${name}`, `${assets}/${name}`]);
const sources = [...beside, ...(await paths("src"))].map((path) => [path, path]);
const lines = [];
for (const [path, name] of [...sources, ...built]) {
  const digest = createHash("sha256").update(await readFile(path)).digest("hex");
  lines.push(`${digest}  ${name.slice(root.length)}\n`);
}
await writeFile(`${out}/${MANIFEST}`, lines.sort((a, b) => (a.slice(64) < b.slice(64) ? -1 : 1)).join(""));
