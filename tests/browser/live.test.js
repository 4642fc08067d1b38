// The NPU's timeline: who has it, who waits, and who had it before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser } from './page.js';

const page = await openBrowser();
const now = Date.now();

function request(number, more) {
  return {
    number, id: `r${number}`, arrived: now - 40_000 + 1000 * number, webui_headers: [], class: 'chat', model: 'qwen3-0.6b',
    provider: 'rkllm', phase: 'queued', ahead: number, stretches: [], first_token: null, ended: null, prompt_tokens: 40,
    cached_tokens: null, completion_tokens: 0, status: null, failure: null, ...more,
  };
}

test('who has the NPU and who waits is told of all requests, with the times in which one gave way', async () => {
  const stretches = [
    { phase: 'loading', from: 1000, to: 2000 },
    { phase: 'running', from: 2000, to: 5000 },
    { phase: 'running', from: 15_000, to: null },
  ];
  const holder = request(0, { class: 'task/title_generation', phase: 'running', ahead: null, stretches, first_token: 3000, completion_tokens: 50 });
  const waiting = Array.from({ length: 20 }, (_, index) => request(index + 1));
  const body = `event: requests\ndata: ${JSON.stringify({ running: [holder, ...waiting], ended: [], now })}\n\n`;
  await page.route('/api/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await page.goto('/');
  const timeline = page.getByRole('img', { name: /^Timeline/ });
  await timeline.waitFor();
  assert.match(await timeline.getAttribute('aria-label'), /has the NPU, 20 waiting\.$/);
  // Although its own row is no longer among the newest.
  const titles = await timeline.locator('title').allTextContents();
  const held = titles.map((title) => title.replace(/^.*: /, '')).filter((what) => !what.startsWith('waited'));
  assert.deepEqual(held.slice(0, 2), ['read the prompt 1.0 s', 'answered 2.0 s']);
  assert.equal(held.length, 3);
  const row = page.getByRole('region', { name: 'Requests, newest first' }).getByRole('row').last();
  await row.getByText('12 s').waitFor();
});
