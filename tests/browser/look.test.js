// Pictures of every page, for people to look at; nothing is wider than the screen.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chat, DESKTOP, logged, openBrowser, openPage, PHONE, titleRequest } from './page.js';

const page = await openBrowser();
const history = { role: 'assistant', content: '<think>A riddle.</think>\n\nA reverse proxy stands before servers and speaks for them.' };
for (let turn = 0; turn < 6; turn += 1) {
  const messages = [{ role: 'user', content: 'What is a reverse proxy?' }, history, { role: 'user', content: `And what of it, part ${turn}?` }];
  await ask({ model: 'qwen3-1.7b', messages }, { 'x-openwebui-chat-id': 'one' });
  await ask(titleRequest());
}
await ask({ ...chat('Is nobody there?'), model: 'nobody' });
const id = await logged({ text: 'part', class: 'chat' });

for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`every page fits a ${size} (${colorScheme})`, async () => {
      const own = await openPage(page.context().browser(), { viewport, colorScheme, deviceScaleFactor: size === 'phone' ? 2 : 1 });
      for (const [name, path] of [
        ['live', '/'],
        ['log', '/log'],
        ['request', `/log/${id}`],
        ['policies', '/policies'],
        ['editor', '/policies/rules/10-open-webui.toml'],
        ['models', '/models'],
        ['setup', '/setup'],
      ]) {
        await own.goto(path);
        await own.getByRole('heading', { level: 1 }).waitFor();
        // The last of what a page fetches.
        await own.waitForTimeout(1000);
        await own.screenshot({ path: `${process.env.PICTURES}/${name}-${size}-${colorScheme}.png` });
        const [wide, there] = await own.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= there, `${path} is ${wide} pixels wide, there are ${there}`);
      }
      await own.context().close();
    });
  }
}
