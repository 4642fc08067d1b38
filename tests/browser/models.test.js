// Models loaded, pinned and unloaded by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, openBrowser } from './page.js';

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

test('the speeds of reading and writing are measured', async () => {
  await ask({ ...chat(`Say it again: ${'the sea is blue, and so is the sky. '.repeat(40)}`), model: 'qwen3-0.6b' });
  const column = async (name) => (await page.getByRole('columnheader').allInnerTexts()).findIndex((text) => text.trim() === name);
  for (const name of ['Reads', 'Writes']) {
    const cell = row.getByRole('cell').nth(await column(name));
    await cell.filter({ hasText: /^[1-9][\d.\s]* of [1-9][\d.\s]* tok\/s$/ }).waitFor();
  }
});
