// Chats through Open WebUI as a person would and prints one line per check. Started by `run`.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { Answer, openBrowser, openChat, send, signUp } from './page.js';

const { OPEN_WEBUI: url, MODEL: model, FAILURES: failures } = process.env;
const CHECK_MS = 120_000;
const QUESTION = 'Please tell me in a few sentences what a proxy server does.';
const LONG = 'Count from 1 to 400, one number per line, nothing else.';

const { context, page } = await openBrowser();
process.once('SIGTERM', async () => {
  await context.close();
  process.exit(143);
});

let passed = 0;
let failed = 0;

/** Runs one check; `run` may return a note to print beside it. */
async function check(name, run) {
  const start = performance.now();
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${CHECK_MS} ms`)), CHECK_MS);
  });
  let outcome = 'ok  ';
  let note;
  try {
    note = await Promise.race([run(), tooLong]);
    passed += 1;
  } catch (error) {
    outcome = 'FAIL';
    note = error.message.split('\n')[0];
    failed += 1;
    await mkdir(failures, { recursive: true });
    await page.screenshot({ path: `${failures}/${name.replaceAll(' ', '-')}.png` }).catch(() => {});
  } finally {
    clearTimeout(timer);
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${outcome} ${name} (${seconds} s)${note ? `: ${note}` : ''}`);
}

const shorten = text => text.replace(/\s+/g, ' ').slice(0, 80);

await check('sign up', () => signUp(page, url));

await check('chat is answered, stream seen growing', async () => {
  await openChat(page, url, model);
  await send(page, QUESTION);
  const answer = new Answer(page);
  const lengths = (await answer.lengthsWhileGrowing()).filter(length => length > 0);
  assert.ok(lengths.length >= 3, `the text had ${lengths.length} lengths only`);
  const text = await answer.text();
  assert.ok(text.length > 20, `the answer is: ${text}`);
  return `${lengths.length} lengths seen; ${shorten(text)}`;
});

await check('reasoning is shown and kept out of the answer', async () => {
  const answer = new Answer(page);
  const text = await answer.text();
  assert.doesNotMatch(text, /<\/?think>/);
  const opened = await answer.withThinking();
  assert.ok(opened.length > text.length + 40, 'opening the thinking showed nothing');
  return shorten(opened);
});

await check('title appears', async () => {
  const link = page.locator('a[href^="/c/"]').first();
  await page.waitForFunction(
    question => {
      const title = document.querySelector('a[href^="/c/"] [dir]')?.textContent.trim();
      return title && title !== 'New Chat' && !question.startsWith(title.slice(0, 12));
    },
    QUESTION,
    { timeout: 60_000 },
  );
  return shorten(await link.locator('[dir]').innerText());
});

await check('second turn is answered', async () => {
  await send(page, 'And a reverse proxy?');
  await page.locator('.user-message').nth(1).waitFor();
  const text = await new Answer(page).complete();
  assert.ok(text.length > 20, `the answer is: ${text}`);
});

await check('regenerate gives another answer', async () => {
  const answer = new Answer(page);
  await answer.regenerate(page);
  await answer.isNumbered('2/2');
  const text = await answer.complete();
  assert.ok(text.length > 20, `the answer is: ${text}`);
});

await check('stop ends the stream and keeps what was there', async () => {
  await openChat(page, url, model);
  await send(page, LONG);
  const answer = new Answer(page);
  await answer.isLongerThan(40);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'hidden' });
  const stopped = await answer.text();
  await page.waitForTimeout(1500);
  assert.equal(await answer.text(), stopped);
  assert.ok(stopped.length > 40);
  return `${stopped.length} characters`;
});

await check('the chat goes on after a stop', async () => {
  await send(page, 'Thanks. Now just say hello.');
  await page.locator('.user-message').nth(1).waitFor();
  assert.ok((await new Answer(page).complete()).length > 0);
});

await check('error is readable', async () => {
  // A question that alone is longer than the model's context: nothing can be left out of it.
  await openChat(page, url, model);
  await send(page, 'What comes next? '.repeat(1500));
  const text = await new Answer(page).complete();
  assert.match(text, /maximum context length is 4096 tokens/);
  return shorten(text);
});

await context.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
