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

/** What the page is told instead of what goes on. */
async function told(events) {
  const body = events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join('');
  await page.unroute('/api/events');
  await page.route('/api/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await page.goto('/');
}

test('who has the NPU and who waits is told of all requests, with the times in which one gave way', async () => {
  const stretches = [
    { phase: 'loading', from: 1000, to: 2000 },
    { phase: 'running', from: 2000, to: 5000 },
    { phase: 'running', from: 15_000, to: null },
  ];
  const holder = request(0, { class: 'task/title_generation', phase: 'running', ahead: null, stretches, first_token: 3000, completion_tokens: 50 });
  const waiting = Array.from({ length: 20 }, (_, index) => request(index + 1));
  await told([['requests', { running: [holder, ...waiting], ended: [], now }]]);
  const timeline = page.getByRole('img', { name: /^Timeline .* has the NPU, 20 waiting\.$/ });
  await timeline.waitFor();
  // Although its own row is no longer among the newest.
  const titles = await timeline.locator('title').allTextContents();
  const held = titles.map((title) => title.replace(/^.*: /, '')).filter((what) => !what.startsWith('waited'));
  assert.deepEqual(held.slice(0, 2), ['read the prompt 1.0 s', 'answered 2.0 s']);
  assert.equal(held.length, 3);
  const row = page.getByRole('region', { name: 'Requests, newest first' }).getByRole('row').last();
  await row.getByText('12 s').waitFor();
});

test('places in the queue, times and speeds are told', async () => {
  const stretches = [{ phase: 'running', from: 1000, to: 5000 }];
  const answered = { phase: 'ended', ahead: null, stretches, first_token: 2000, ended: 5000, status: 200, cached_tokens: 30, completion_tokens: 31 };
  await told([['requests', { running: [request(1, { ahead: 0 }), request(2, { ahead: 3 })], ended: [request(0, answered)], now }]]);
  const rows = page.getByRole('region', { name: 'Requests, newest first' }).getByRole('row');
  await rows.nth(3).waitFor();
  const names = (await page.getByRole('columnheader').allInnerTexts()).map((name) => name.trim());
  const cell = (row, name) => rows.nth(row).getByRole('cell').nth(names.indexOf(name)).innerText();
  assert.equal(await cell(1, 'State'), '3 ahead');
  assert.equal(await cell(2, 'State'), 'next in the queue');
  assert.equal(await cell(3, 'Waited'), '1.0 s');
  assert.equal(await cell(3, 'First token'), '2.0 s');
  assert.equal(await cell(3, 'Reused'), '75 %');
  assert.equal(await cell(3, 'Speed'), '10.0 tok/s');
});

test('the board is told of', async () => {
  const board = {
    npu_load_percent: [61, 0, 7],
    npu_clock: { hertz: 1_000_000_000, governor: 'rknpu_ondemand' },
    ddr_clock: { hertz: 2_112_000_000, governor: 'performance' },
    temperatures: [{ zone: 'npu-thermal', celsius: 61.4 }, { zone: 'soc-thermal', celsius: 58 }],
    memory_bytes: 16e9,
    memory_available_bytes: 6e9,
  };
  const counters = { prompt_tokens: 200, cached_tokens: 150 };
  const engine = { workers: [], models: [], memory_budget_bytes: 8e9, counters };
  await told([['board', { board, engine, log: { state: 'running', lost: 0, content_dropped: 0 } }]]);
  for (const [name, value, note] of [
    ['NPU load', '61 % 0 % 7 %', 'by core'],
    ['NPU clock', '1000 MHz', 'rknpu_ondemand'],
    ['DDR clock', '2112 MHz', 'performance'],
    ['Temperature', '61 °C', 'warmest zone'],
    ['KV reuse', '75 %', 'of prompt tokens'],
  ]) {
    const tile = page.locator('.tiles > *').filter({ has: page.getByText(name, { exact: true }) });
    await tile.getByText(value, { exact: true }).waitFor();
    await tile.getByText(note, { exact: true }).waitFor();
  }
  await page.locator('.tiles').getByText('RAM', { exact: true }).waitFor();
});
