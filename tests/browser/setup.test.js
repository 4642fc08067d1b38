// How Open WebUI is connected, and whether it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, openBrowser, titleRequest } from './page.js';

const page = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });

test('the headers are taken as they are to be pasted', async () => {
  await page.goto('/setup');
  await page.getByRole('button', { name: 'Copy: headers for Open WebUI' }).click();
  const headers = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
  assert.equal(headers['X-OpenWebUI-Task'], '{{TASK}}');
  assert.equal(headers['X-OpenWebUI-Chat-Id'], '{{CHAT_ID}}');
});

test('it is told whether requests come, and the headers with them', async () => {
  await page.getByText('No request has come yet').waitFor();
  await ask(chat('Is this the right place?'));
  await page.getByText(/^Requests come, .* but without X-OpenWebUI-Task and X-OpenWebUI-Chat-Id\.$/).waitFor();
  await ask(chat('And now?'), { 'x-openwebui-chat-id': 'c1', 'x-openwebui-user-id': 'u1' });
  await page.getByText(/but without X-OpenWebUI-Task\.$/).waitFor();
  await ask(titleRequest(), { 'x-openwebui-chat-id': 'c1', 'x-openwebui-task': 'title_generation' });
  await page.getByText(/and the headers with them\.$/).waitFor();
  await page.getByText('Of the last 3 requests 1 told their task, 2 their chat and 1 their user.').waitFor();
});

test('what the doctor finds is told with its cure', async () => {
  const finding = { about: 'board', status: 'warn', message: 'the DDR clock changes with the load', fix: 'set its governor to performance' };
  await page.route('/api/setup', async (route) => {
    const response = await route.fetch();
    return route.fulfill({ response, json: { ...(await response.json()), findings: [finding] } });
  });
  await page.getByRole('button', { name: 'Look again' }).click();
  await page.getByText(finding.message).waitFor();
  await page.getByText(finding.fix).waitFor();
});
