// Rules edited in the console: refused, tried, saved, followed, returned from.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, logged, openBrowser, seriousFaults, titleRequest } from './page.js';

const FILE = 'rules/90-local.toml';
const page = await openBrowser();
const editor = page.locator('.code .cm-content');
const save = page.getByRole('button', { name: 'Save', exact: true });

/** Replaces the whole text, without the editor's help that completes brackets. */
async function write(text) {
  await editor.click();
  await page.keyboard.press('Control+A');
  // Text that is typed over other text is given the other's style attribute by Chromium's own editing,
  // which the page's policy refuses, and rightly.
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(text);
}

/** Line and column of the caret, from 1. */
const caret = () =>
  page.locator('.code').evaluate((host) => {
    const { focusNode, focusOffset } = host.shadowRoot.getSelection?.() ?? document.getSelection();
    const line = (focusNode instanceof Element ? focusNode : focusNode.parentElement).closest('.cm-line');
    const before = document.createRange();
    before.setStart(line, 0);
    before.setEnd(focusNode, focusOffset);
    return [[...line.parentElement.children].indexOf(line) + 1, before.toString().length + 1];
  });

const DENY = `schema = 1

[[deny]]
id = "local.no-titles"
on = ["task/title_generation"]
message = "No titles today."
`;

test('a file that does not exist yet is begun', async () => {
  assert.equal((await ask(titleRequest())).status, 200);
  await logged({ class: 'task/title_generation' });
  await page.goto(`/policies/${FILE}`);
  await editor.getByText('schema = 1').waitFor();
});

test('what is typed is checked as it is typed', async () => {
  await write(`${DENY}  colour = "red"\n`);
  await page.getByRole('button', { name: 'line 7, column 3' }).first().waitFor();
  await page.locator('.code .cm-lint-marker-error').first().waitFor();
  assert.ok(await save.isDisabled());
  assert.equal(await seriousFaults(page), '', 'with an error in the text');
  const tested = (kind) => `${DENY}
[[test]]
name = "a chat is answered"
request = { messages = [{ role = "user", content = "A title, please" }] }
expect = { class = "${kind}" }
`;
  await write(tested('task/tags_generation'));
  await page.getByText(/a chat is answered/).first().waitFor();
  assert.ok(await save.isDisabled(), 'a test fails');
  await write(tested('chat'));
  await page.getByText('All files are fine with this, and its test passes.').waitFor();
  assert.ok(await save.isEnabled());
});

test('names and texts have colours of their own', async () => {
  const colour = (text) => page.locator('.code .cm-line span', { hasText: text }).last().evaluate((span) => getComputedStyle(span).color);
  const [name, text, plain] = [
    await colour(/^message$/),
    await colour(/^"No titles today\."$/),
    await page.locator('.code .cm-content').evaluate((content) => getComputedStyle(content).color),
  ];
  assert.notEqual(name, text);
  assert.notEqual(text, plain);
});

test('an invalid edit is refused with the caret at the right place', async () => {
  await write(`${DENY}  colour = "red"\n`);
  await page.keyboard.press('Control+S');
  await page.getByText('the files would be wrong; nothing was changed').waitFor();
  assert.deepEqual(await caret(), [7, 3]);
  await save.and(page.locator(':disabled')).waitFor();
  await page.locator('.code .cm-lint-marker-error').first().waitFor();
  assert.equal((await ask(titleRequest())).status, 200, 'nothing has changed');

  await page.keyboard.press('Control+Home');
  await page.getByRole('button', { name: 'line 7, column 3' }).first().click();
  assert.deepEqual(await caret(), [7, 3]);
});

test('names are completed from the schema', async () => {
  await write('schema = 1\n\n[[deny]]\n');
  await page.keyboard.type('mess');
  await page.locator('.code .cm-tooltip-autocomplete').getByText('message').waitFor();
  await page.keyboard.press('Escape');
});

test('a valid edit is tried on what was logged before it is saved', async () => {
  await write(DENY);
  await page.getByRole('button', { name: 'Try on the last 100 requests' }).click();
  await page.getByText(/^[12] of [12] would change/).waitFor();
  await page.getByText('refused by nobody → local.no-titles').first().waitFor();
  assert.equal(await seriousFaults(page), '', 'with what would change');
  assert.equal((await ask(titleRequest())).status, 200, 'trying changes nothing');
});

test('saved, it is followed by the next request', async () => {
  await save.click();
  await page.getByText('Saved and in force').waitFor();
  const refused = await ask(titleRequest());
  assert.equal(refused.status, 403);
  assert.ok(refused.text.includes('No titles today.'), refused.text);
});

test('a file that somebody else has changed is not overwritten', async () => {
  const file = `${process.env.CONSOLE}/api/policy/files/${FILE}`;
  const { version } = await (await fetch(file)).json();
  const changed = { text: `${DENY}# by somebody else\n`, base: version };
  const headers = { 'content-type': 'application/json' };
  assert.equal((await fetch(file, { method: 'PUT', headers, body: JSON.stringify(changed) })).status, 200);
  await write(`${DENY}# by me\n`);
  await save.click();
  await page.getByText('has changed since it was opened').waitFor();
});

test('going back asks before what was typed is lost', async () => {
  await page.goto('/policies');
  await page.getByRole('link', { name: '90-local.toml' }).click();
  await editor.waitFor();
  await write(`${DENY}# not saved\n`);
  const answers = ['dismiss', 'accept'];
  const asked = [];
  page.on('dialog', (dialog) => {
    asked.push(dialog.message());
    return dialog[answers.shift()]();
  });
  await page.goBack();
  await page.waitForURL(`**/policies/${FILE}`);
  await editor.getByText('# not saved').waitFor();
  await page.goBack();
  await page.waitForURL(/\/policies$/);
  await editor.waitFor({ state: 'detached' });
  assert.equal(asked.length, 2, asked.join());
  page.removeAllListeners('dialog');
});

test('an earlier generation comes back', async () => {
  page.on('dialog', (dialog) => dialog.accept());
  await page.goto('/policies');
  await page.getByRole('button', { name: 'Return to this: generation 1' }).click();
  await page.getByText(/^Generation 4 is in force/).waitFor();
  assert.equal((await ask(titleRequest())).status, 200);
});
