// Models loaded, pinned and unloaded by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, openBrowser, openPage, seriousFaults } from './page.js';

const page = await openBrowser();
const row = page.getByRole('region', { name: 'Models of the embedded engine' }).locator('tbody', { hasText: 'qwen3-0.6b' });
const press = (name) => row.getByRole('button', { name: `${name} qwen3-0.6b` }).click();
const reads = (state) => row.getByText(state, { exact: true }).waitFor();

test('a model is loaded, pinned, unpinned and unloaded', async () => {
  await page.goto('/models');
  await reads('not loaded');
  await press('Load');
  await reads('loaded');
  await press('Pin');
  await reads('loaded, pinned');
  assert.ok(await row.getByRole('button', { name: 'Unload' }).isDisabled());
  await press('Unpin');
  await reads('loaded');
  await press('Unload');
  await reads('not loaded');
});

test('what is refused is told', async () => {
  await page.route('**/api/engine/models/*/load', (route) =>
    route.fulfill({ status: 409, json: { error: { message: 'there is no room' } } }),
  );
  await press('Load');
  await page.getByRole('alert').getByText('there is no room').waitFor();
  await page.unroute('**/api/engine/models/*/load');
});

test('what is to be known of a model is told with its cure', async () => {
  const own = await openPage(page.context().browser());
  const model = {
    id: 'qwen3-4b', name: 'Qwen3-4B', kind: 'text', path: '/models/qwen3-4b.rkllm', family: 'Qwen3', size: '4B', quantisation: 'w8a8',
    context: 1024, memory_bytes: 6e9, prefill_tokens_per_second: 90, decode_tokens_per_second: 6,
    warnings: ['its context is short for chats; convert it with max_context = 16384'],
  };
  const engine = { library: 'simulator', workers: [], models: [model], residency: [], memory_budget_bytes: 8e9, queued: 0, counters: {} };
  const board = { board: { temperatures: [] }, engine, log: { state: 'running', lost: 0, content_dropped: 0 } };
  const body = `event: board\ndata: ${JSON.stringify(board)}\n\n`;
  await own.route('/api/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await own.goto('/models');
  const warning = own.getByRole('listitem').filter({ hasText: 'its context is short for chats' });
  await warning.getByText('Cure: convert it with max_context = 16384').waitFor();
  assert.equal(await seriousFaults(own), '');
  await own.context().close();
});

test('the speeds of reading and writing are measured', async () => {
  await ask({ ...chat(`Say it again: ${'the sea is blue, and so is the sky. '.repeat(40)}`), model: 'qwen3-0.6b' });
  const column = async (name) => (await page.getByRole('columnheader').allInnerTexts()).findIndex((text) => text.trim() === name);
  for (const name of ['Reads', 'Writes']) {
    const cell = row.getByRole('cell').nth(await column(name));
    await cell.filter({ hasText: /^[1-9][\d.\s]* of [1-9][\d.\s]* tok\/s$/ }).waitFor();
  }
});
