// Serves the console from its sources and passes everything else to a running rkgate, so that a change needs no build
// of rkgate: `npm run dev -- http://127.0.0.1:3589`, then open http://127.0.0.1:3590.
import { copyFile, mkdtemp, readFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { extname } from "node:path";
import { context } from "esbuild";
import { copied, from, options } from "./bundle.mjs";

const rkgate = new URL(process.argv[2] ?? "http://127.0.0.1:3589");
const port = Number(process.argv[3] ?? 3590);
const out = await mkdtemp(`${tmpdir()}/rkgate-console-`);
const bundle = await context(options(out));
await bundle.watch();
const media = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };

http
  .createServer(async (request, response) => {
    const { pathname } = new URL(request.url, rkgate);
    if (pathname.startsWith("/api/") || pathname === "/metrics") {
      // It must look like the console's own page to rkgate.
      const headers = { ...request.headers, host: rkgate.host };
      if (headers.origin) {
        headers.origin = rkgate.origin;
      }
      const passed = http.request(new URL(request.url, rkgate), { method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", (error) => response.writeHead(502).end(String(error)));
      response.on("close", () => passed.destroy());
      request.pipe(passed);
      return;
    }
    const file = extname(pathname) in media ? pathname : "/index.html";
    for (const name of copied) {
      await copyFile(from(`src/${name}`), `${out}/${name}`);
    }
    const bytes = await readFile(out + file).catch(() => null);
    response.writeHead(bytes ? 200 : 404, { "content-type": media[extname(file)] }).end(bytes);
  })
  .listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port} in front of ${rkgate.origin}`));
