// The pictures of the documentation: the console with people at work. Started by `run --for-docs`.
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const { API, CONSOLE, CHROMIUM, PICTURES } = process.env;
const MODEL = 'qwen3-1.7b';

/** A request as Open WebUI sent it. */
async function captured(name) {
  const { headers, body_raw: body } = JSON.parse(await readFile(new URL(`../fixtures/openwebui/${name}.json`, import.meta.url)));
  const own = headers.filter(([header]) => header.toLowerCase().startsWith('x-'));
  return { headers: Object.fromEntries(own), body: { ...JSON.parse(body), model: MODEL } };
}

async function send(name) {
  const { headers, body } = await captured(name);
  const response = await fetch(`${API}/chat/completions`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await response.text();
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
const context = await browser.newContext({ baseURL: CONSOLE, viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
const page = await context.newPage();
const shot = (name) => page.screenshot({ path: `${PICTURES}/${name}.png` });

await page.goto('/');
for (const name of ['chat-plain', 'title', 'follow-up', 'chat-reasoning-history', 'tags']) {
  await send(name);
}
const going = ['chat-rag', 'title', 'follow-up', 'chat-tool-result'].map(send);
const busy = page.locator('tbody.in-progress');
await busy.getByText(/ahead|next in the queue/).first().waitFor({ timeout: 60_000 });
await busy.getByText('answering', { exact: true }).waitFor({ timeout: 60_000 });
// Some tokens make a speed.
await page.waitForTimeout(2000);
await shot('console');
await Promise.all(going);

await page.goto('/log');
await page.getByRole('link', { name: 'Second think llama.cpp.' }).first().click();
await page.locator('.diff .cm-content').first().waitFor();
await page.waitForTimeout(800);
await shot('console-request');
await browser.close();
