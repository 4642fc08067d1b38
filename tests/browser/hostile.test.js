// Prompts that want to be more than text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, logged, openBrowser, side } from './page.js';

const MARKUP = '<script>window.struck = 1</script><img src=x onerror="window.struck = 1"><b>bold</b>';
const HIDDEN = 'pay \u202Eevil\u202C to\u200B\u200B\u200Bday\u{E0041}';
const UNSEEN = /[\u202A-\u202E\u200B\u{E0000}-\u{E007F}]/u;
const page = await openBrowser();

const isInert = async () => {
  assert.equal(await page.evaluate(() => window.struck), undefined);
  assert.equal(await page.locator('script:not([src="/app.js"])').count(), 0);
  assert.equal(await page.locator('main img:not(.cm-widgetBuffer), main b').count(), 0);
};

test('markup is shown as text on every page', async () => {
  await ask({ ...chat(MARKUP), user: MARKUP }, { 'x-openwebui-chat-id': MARKUP, 'x-openwebui-user-id': MARKUP });
  await ask({ ...chat(MARKUP), model: MARKUP }, { 'x-request-id': 'unknown-model' });
  const id = await logged({ text: 'struck' });
  const unknown = await logged({ request_id: 'unknown-model' });
  for (const path of ['/', '/log', `/log/${id}`, `/log/${unknown}`, '/models', '/setup']) {
    await page.goto(path);
    await page.getByRole('heading', { level: 1 }).waitFor();
    if (path.startsWith('/log')) {
      await page.getByText('<script>').first().waitFor();
    }
    await isInert();
  }
  await page.goto(`/log/${id}`);
  await page.getByRole('button', { name: 'Explain again' }).click();
  await page.getByText('The same text would be sent.').waitFor();
  await isInert();
});

test('what turns or hides text is made visible', async () => {
  await ask(chat(HIDDEN));
  await ask({ ...chat('Hi'), model: `model ${HIDDEN}` });
  const id = await logged({ text: 'pay' });
  await page.goto('/');
  await page.locator('.hidden-characters', { hasText: 'U+202E' }).first().waitFor();
  assert.doesNotMatch(await page.locator('main').innerHTML(), UNSEEN);
  await page.goto('/log');
  for (const name of ['U+202E', 'U+202C', 'U+200B and 2 more']) {
    await page.locator('.hidden-characters', { hasText: name }).first().waitFor();
  }
  assert.doesNotMatch(await page.locator('main').innerText(), UNSEEN);
  await page.goto(`/log/${id}`);
  const texts = page.locator('.diff .cm-content, .said-text').first();
  await texts.getByText('day').first().waitFor();
  assert.doesNotMatch(await texts.innerText(), UNSEEN);
});

test('what was said, thought and called before is text in the comparison, too', async () => {
  const said = `${MARKUP} ${HIDDEN}`;
  const call = { id: 'c1', type: 'function', function: { name: 'find', arguments: JSON.stringify({ q: said }) } };
  const messages = [
    { role: 'user', content: 'Look it up.' },
    { role: 'assistant', content: `<think>${said}</think>`, reasoning_content: said, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', content: said },
    { role: 'user', content: 'And what was found, harmlessly?' },
  ];
  assert.equal((await ask({ messages })).status, 200);
  await page.goto(`/log/${await logged({ text: 'harmlessly' })}`);
  for (const which of ['a', 'b']) {
    const text = await side(page, which);
    assert.ok(text.includes('<script>'), text);
    assert.doesNotMatch(text, UNSEEN);
  }
  await isInert();
});

test('a line of a megabyte holds nothing up', async () => {
  const line = 'megabyte ' + '<i>x</i>\u200F'.repeat(120_000);
  const { status } = await ask(chat(line));
  assert.ok(status === 200 || status === 400, `${status}`);
  const id = await logged({ text: 'megabyte' });
  const start = Date.now();
  await page.goto(`/log/${id}`);
  const text = page.locator('.said-text, .diff .cm-content').first();
  await text.getByText('megabyte').first().waitFor();
  assert.ok(Date.now() - start < 10_000, `${Date.now() - start} ms`);
  await isInert();
  assert.equal(await page.locator('main i').count(), 0);
  await page.goto('/log');
  await page.getByRole('link', { name: /^megabyte/ }).first().waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page stays as wide as it is');
});

test('a name of a megabyte is shown in brief', async () => {
  const { status, text } = await ask({ ...chat('Hi'), model: 'name'.repeat(250_000) }, { 'x-request-id': 'huge-name' });
  assert.equal(status, 404);
  assert.ok(text.length < 5000, text);
  const id = await logged({ request_id: 'huge-name' });
  for (const path of ['/', '/log', `/log/${id}`]) {
    await page.goto(path);
    await page.getByText('namename').first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} stays as wide as it is`);
  }
});

test('the page carries no secret', async () => {
  await ask(chat('Is this the token?'), { authorization: 'Bearer open-sesame', 'x-api-key': 'open-sesame', cookie: 'a=open-sesame' });
  const id = await logged({ text: 'token' });
  await page.goto(`/log/${id}`);
  await page.getByRole('button', { name: /^Copy as curl/ }).waitFor();
  assert.ok(!(await page.content()).includes('open-sesame'));
  const record = await (await fetch(`${process.env.CONSOLE}/api/log/${id}`)).text();
  assert.ok(!record.includes('open-sesame'), record);
});
