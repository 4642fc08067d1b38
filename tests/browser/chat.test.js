// A chat, from its arrival to its page in the log.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ask, chat, logged, openBrowser, seriousFaults, side } from './page.js';

const THOUGHT = 'The person greets me, so I greet back.';
// As many tools as Open WebUI offers.
const captured = JSON.parse(await readFile(new URL('../fixtures/openwebui/chat-reasoning-history.json', import.meta.url)));
const { tools } = JSON.parse(captured.body_raw);
const CONVERSATION = {
  messages: [
    { role: 'user', content: 'Hello there.' },
    { role: 'assistant', content: `<think>\n${THOUGHT}\n</think>\n\nGood day to you.` },
    { role: 'user', content: 'How are you today?' },
  ],
  tools,
};

const page = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });

test('a chat appears live', async () => {
  await page.goto('/');
  await page.getByText('No request yet').waitFor();
  assert.equal((await ask(CONVERSATION)).status, 200);
  const row = page.getByRole('region', { name: 'Requests, newest first' }).getByRole('row').nth(1);
  await row.getByText('qwen3-0.6b').waitFor();
  await row.getByText('answered').waitFor();
});

test('its comparison shows the thought that was stripped and the tools that were pruned', async () => {
  await page.getByRole('region', { name: 'Requests, newest first' }).getByRole('link').first().click();
  await page.getByRole('heading', { name: 'What came, and what was sent' }).waitFor();
  const [came, sent] = [await side(page, 'a'), await side(page, 'b')];
  for (const gone of [THOUGHT, 'get_current_timestamp()', 'ask_user(questions']) {
    assert.ok(came.includes(gone), `${gone} is not in:\n${came}`);
    assert.ok(!sent.includes(gone), `${gone} is in:\n${sent}`);
  }
  for (const text of [came, sent]) {
    assert.ok(text.includes('Good day to you.') && text.includes('How are you today?'), text);
  }
});

test('its answer, its thinking and where its time went are told', async () => {
  const answer = page.getByRole('region', { name: 'Answer' });
  await answer.getByText(/^Thinking, [\d ]+ characters$/).click();
  assert.match(await answer.getByLabel('thinking').innerText(), /\w{3}/);
  await page.getByRole('img', { name: /^[\d.]+ m?s: .*read .* ms/ }).waitFor();
});

test('its trace leads to the line of the rule', async () => {
  const rule = page.getByRole('link', { name: 'history.strip-think' });
  await rule.click();
  await page.waitForURL(/\/policies\/rules\/.*\.toml\?line=\d+$/);
  const line = page.locator('.code .cm-activeLine');
  await line.waitFor();
  const wanted = Number(new URL(page.url()).searchParams.get('line'));
  await page.locator('.code .cm-lineNumbers .cm-activeLineGutter, .code .cm-lineNumbers').first().waitFor();
  const around = (await page.locator('.code .cm-line').allInnerTexts()).join('\n');
  assert.ok(around.includes('history.strip-think'), `line ${wanted} is not in sight:\n${around}`);
  await page.goBack();
});

test('explained again, it is what it was', async () => {
  await page.getByRole('button', { name: 'Explain again' }).click();
  await page.getByText('The same text would be sent.').waitFor();
});

test('copied as curl, it is answered again', async () => {
  await page.getByRole('button', { name: /^Copy as curl/ }).click();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const { stdout } = await promisify(execFile)('sh', ['-c', command]);
  assert.ok(JSON.parse(stdout).choices[0].message, stdout);
});

test('a long text is copied as curl as well', async () => {
  // More than the model reads: it fails, twice.
  await ask(chat(`A picture of a harbour. ${'x'.repeat(200_000)}`));
  await page.goto(`/log/${await logged({ text: 'harbour' })}`);
  await page.getByRole('button', { name: /^Copy as curl/ }).click();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const shell = promisify(execFile)('sh');
  shell.child.stdin.end(command);
  const { stdout } = await shell;
  assert.equal(JSON.parse(stdout).error?.code, 'context_length_exceeded', stdout);
});

test('a text to go on with is copied as one', async () => {
  const url = `${process.env.API}/completions`;
  const body = JSON.stringify({ model: 'qwen3-0.6b', prompt: 'Once upon a time', max_tokens: 8 });
  assert.equal((await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 200);
  await page.goto(`/log/${await logged({ class: 'text_completion' })}`);
  await page.getByRole('button', { name: /^Copy as curl/ }).click();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const { stdout } = await promisify(execFile)('sh', ['-c', command]);
  assert.equal(JSON.parse(stdout).object, 'text_completion', stdout);
});

test('of embeddings the page says what became of them', async () => {
  const url = `${process.env.API}/embeddings`;
  const body = JSON.stringify({ model: 'qwen3-embedding-0.6b', input: 'A lighthouse.' });
  assert.equal((await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 200);
  await page.goto(`/log/${await logged({ class: 'embeddings' })}`);
  await page.getByText('Its text is not kept').waitFor();
  await page.getByRole('img', { name: /answered/ }).waitFor();
  assert.equal(await page.getByText('without an answer').count(), 0);
});

test('the log finds it by its words, and its page by paging', async () => {
  for (let n = 0; n < 60; n += 1) {
    await ask({ ...chat(`Question number ${n}, please.`), model: 'nobody' });
  }
  await ask(chat('A lighthouse keeper asks.'));
  await logged({ text: 'lighthouse' });
  await page.goto('/log');
  const rows = page.getByRole('region', { name: 'Logged requests, newest first' }).locator('tbody');
  await rows.nth(49).waitFor();
  await page.getByRole('button', { name: 'Older' }).click();
  await rows.nth(49).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'How are you today?' }).first().waitFor();
  await page.getByRole('button', { name: 'Newer' }).click();
  await rows.nth(49).waitFor();

  await page.getByRole('searchbox', { name: 'Search' }).fill('lighthouse');
  await rows.nth(1).waitFor({ state: 'detached' });
  assert.match(await rows.first().innerText(), /lighthouse keeper/);
  await page.waitForURL(/text=lighthouse/);
  await page.getByRole('searchbox', { name: 'Search' }).fill('');
  await page.getByLabel('Outcome').selectOption('failed');
  await rows.first().getByText('404').waitFor();
  await page.getByRole('img', { name: /^Requests: 62, 62 failed/ }).waitFor();
  await page.getByLabel('Outcome').selectOption('');
  for (const chart of [/^First token: .*\d/, /^Tokens: .*\d/, /^Reuse: .*\d %/]) {
    await page.getByRole('img', { name: chart }).waitFor();
  }
  const classes = page.getByRole('combobox', { name: 'Class' });
  await classes.selectOption({ label: 'embeddings' });
  await rows.nth(1).waitFor({ state: 'detached' });
  await rows.first().getByText('qwen3-embedding-0.6b').waitFor();
  await classes.selectOption('');

  await ask(chat('One that comes while somebody looks.'));
  await page.getByRole('button', { name: /come$/ }).waitFor();
});

test('every page says that the log has stopped', async () => {
  const log = { state: 'stopped', since: Date.now(), reason: 'the disk is full', lost: 3, content_dropped: 0 };
  const board = { board: { temperatures: [] }, engine: { workers: [], models: [], memory_budget_bytes: 1 }, log };
  const body = `event: board\ndata: ${JSON.stringify(board)}\n\n`;
  await page.route('/api/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  for (const path of ['/', '/log', '/setup']) {
    await page.goto(path);
    const notice = page.getByRole('alert').filter({ hasText: 'The prompt log has stopped' });
    await notice.getByText('the disk is full').waitFor();
    await notice.getByText('3 records are lost').waitFor();
    assert.equal(await seriousFaults(page), '', path);
  }
});

test('every page says that the log is not complete', async () => {
  const log = { state: 'running', lost: 0, content_dropped: 7 };
  const board = { board: { temperatures: [] }, engine: { workers: [], models: [], memory_budget_bytes: 1 }, log };
  const body = `event: board\ndata: ${JSON.stringify(board)}\n\n`;
  await page.route('/api/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await page.goto('/log');
  await page.getByText('7 records were kept without').waitFor();
});

test('somebody whom the gateway has forgotten is asked for the key again', async () => {
  await page.unroute('/api/events');
  let known = true;
  const session = () => ({ key_needed: true, signed_in: known });
  await page.route('/api/session', (route) => route.fulfill({ json: session() }));
  await page.route('/api/events', (route) => {
    known = false;
    return route.fulfill({ status: 401, json: { error: { message: 'no session' } } });
  });
  await page.goto('/');
  await page.getByLabel('API key').waitFor();
});
