// The way in where keys are asked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOKS, openBrowser, openPage, seriousFaults, tabTo } from './page.js';

const page = await openBrowser();
const { KEY } = process.env;
const heading = (own, name) => own.getByRole('heading', { level: 1, name });

for (const [name, options] of LOOKS) {
  test(`axe-core finds nothing serious at the door (${name})`, async () => {
    const own = await openPage(page.context().browser(), options);
    await own.goto('/log');
    await heading(own, 'Sign in to rkgate').waitFor();
    assert.equal(await seriousFaults(own), '');
    await own.getByLabel('API key').fill('open-barley');
    await own.getByRole('button', { name: 'Sign in' }).click();
    await own.getByRole('alert').waitFor();
    assert.equal(await seriousFaults(own), '', 'after a wrong key');
    await own.context().close();
  });
}

test('the keyboard alone leads in, and out again', async () => {
  await page.goto('/models');
  await heading(page, 'Sign in to rkgate').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.insertText(KEY);
  await page.keyboard.press('Enter');
  await heading(page, 'Models').waitFor();
  await page.reload();
  await heading(page, 'Models').waitFor();
  await tabTo(page, /^Sign out$/);
  await page.keyboard.press('Enter');
  await heading(page, 'Sign in to rkgate').waitFor();
  await page.goto('/log');
  await heading(page, 'Sign in to rkgate').waitFor();
});
