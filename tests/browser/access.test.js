// For everybody: by keyboard alone, and without what axe-core finds serious.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, focused, logged, LOOKS, openBrowser, openPage, seriousFaults, tabTo } from './page.js';

const page = await openBrowser();
await ask({ ...chat('Is everybody welcome?'), tools: [] });
await ask({ ...chat('And who is not known?'), model: 'nobody' });
const id = await logged({ text: 'welcome' });
const PAGES = ['/', '/log', `/log/${id}`, '/policies', '/policies/rules/10-open-webui.toml', '/policies/rules/90-local.toml', '/models', '/setup'];

test('the keyboard alone leads from the log to a request and explains it again', async () => {
  await page.goto('/');
  await page.getByRole('heading', { name: 'Live', level: 1 }).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Skip to the page');
  await tabTo(page, /^Log$/);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Is everybody welcome?' }).waitFor();
  assert.equal(await focused(page), 'Log', 'a new page begins at its heading');
  await tabTo(page, /^Is everybody welcome\?$/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Explain again' }).waitFor();
  await tabTo(page, /^Explain again$/);
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Then and now' }).waitFor();
});

test('the keyboard alone edits a rule, and leaves the editor again', async () => {
  await page.goto('/policies');
  await page.getByRole('heading', { name: 'Policies', level: 1 }).waitFor();
  await tabTo(page, /^New rule file$/);
  await page.keyboard.press('Enter');
  await page.getByRole('textbox', { name: /^Name/ }).waitFor();
  await tabTo(page, /^Open$/);
  await page.keyboard.press('Enter');
  await page.locator('.code .cm-content').waitFor();
  await tabTo(page, /^Text of rules\/90-local.toml$/);
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText('# by keyboard\n');
  await page.keyboard.press('Tab');
  assert.doesNotMatch(await focused(page), /^Text of/, 'Tab leaves the editor');
  await tabTo(page, /^Try on the last 100 requests$/);
  await page.keyboard.press('Enter');
  await page.getByText(/^Nothing would change/).waitFor();
  await tabTo(page, /^Save$/);
  await page.keyboard.press('Enter');
  await page.getByText('Saved and in force').waitFor();
  page.once('dialog', (dialog) => dialog.accept());
  await tabTo(page, /^Return to this: generation 1$/);
  await page.keyboard.press('Enter');
  await page.getByText(/^Generation 3 is in force/).waitFor();
});

test('the keyboard alone loads a model', async () => {
  await page.goto('/models');
  await page.getByRole('heading', { name: 'Models', level: 1 }).waitFor();
  await tabTo(page, /^Load minicpm4-0.5b$/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Unload minicpm4-0.5b' }).waitFor();
});

for (const [name, options] of LOOKS) {
  test(`axe-core finds nothing serious (${name})`, async () => {
    const own = await openPage(page.context().browser(), options);
    for (const path of PAGES) {
      await own.goto(path);
      await own.getByRole('heading', { level: 1 }).waitFor();
      if (path === `/log/${id}`) {
        await own.getByRole('button', { name: 'Explain again' }).click();
        await own.getByRole('region', { name: 'Then and now' }).waitFor();
      }
      if (path.startsWith('/policies/')) {
        await own.locator('.code .cm-content').waitFor();
      }
      // What is fetched after the heading is there.
      await own.waitForLoadState('load');
      await own.waitForTimeout(500);
      assert.equal(await seriousFaults(own), '', path);
    }
    await own.context().close();
  });
}
