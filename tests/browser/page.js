// The browser, the gateway behind the console, and what every check needs of both.
import assert from 'node:assert/strict';
import { after, afterEach } from 'node:test';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const { API, CONSOLE, CHROMIUM } = process.env;
export const DESKTOP = { width: 1360, height: 900 };
export const PHONE = { width: 390, height: 844 };
/** What a page is looked at with. */
export const LOOKS = [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['phone', { viewport: PHONE, colorScheme: 'light' }],
];

/** Opens a browser for the checks of one file. What a page complains about makes the check fail. */
export async function openBrowser(options = {}) {
  // Without the sandbox it also runs in a container and as root. It opens pages on loopback only.
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] });
  after(() => browser.close());
  return openPage(browser, options);
}

/** Opens a page of its own, with its own cookies and settings. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE, viewport: DESKTOP, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  let complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  // Refused scripts, styles and connections are told here too. That something is not there, or was refused, is part
  // of what is checked.
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  afterEach(() => {
    const told = complaints;
    complaints = [];
    assert.deepEqual(told, []);
  });
  return page;
}

/** What axe-core finds serious on the page, in words; empty where that is nothing. */
export async function seriousFaults(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join('\n    ')}`).join('\n');
}

/** The accessible name of what has the keyboard. */
export const focused = (page) =>
  page.evaluate(() => {
    const inner = (root) => (root.activeElement?.shadowRoot ? inner(root.activeElement.shadowRoot) : root.activeElement);
    const element = inner(document);
    return element?.getAttribute('aria-label') ?? element?.innerText ?? '';
  });

/** Goes on from control to control, as somebody without a mouse does. */
export async function tabTo(page, name) {
  for (let steps = 0; steps < 120; steps += 1) {
    await page.keyboard.press('Tab');
    if (name.test(await focused(page))) {
      return;
    }
  }
  assert.fail(`the keyboard does not reach ${name}`);
}

/** Sends a chat completion; gives the status and the answer. */
export async function ask(body, headers = {}) {
  const response = await fetch(`${API}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'qwen3-0.6b', max_tokens: 32, ...body }),
  });
  return { status: response.status, text: await response.text() };
}

export const chat = (content) => ({ messages: [{ role: 'user', content }] });

/** Open WebUI's request for a title, as far as it is recognised by. */
export const titleRequest = () => ({
  stream: false,
  messages: [
    {
      role: 'user',
      content:
        '### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Output:\nJSON format: ' +
        '{ "title": "your concise title here" }\n### Chat History:\n<chat_history>\nUSER: What is a proxy?\n</chat_history>',
    },
  ],
});

/** Waits until the log holds a record that fits, and gives its number. */
export async function logged(query) {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; ) {
    const response = await fetch(`${CONSOLE}/api/log?limit=1&${new URLSearchParams(query)}`);
    const record = response.ok ? (await response.json()).records[0] : undefined;
    if (record) {
      return record.id;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no record of ${JSON.stringify(query)} was written`);
}

/** The text of one side of a comparison, all of it: only what is in sight is in the page. */
export async function side(page, which) {
  const editor = page.locator(`.diff .cm-merge-${which} .cm-content`);
  await editor.waitFor();
  const lines = new Set();
  const host = page.locator('.diff').first();
  /** Scrolls, and waits until the editor has drawn what is in sight then; gives where it is. */
  const scroll = (by) =>
    host.evaluate(async (element, by) => {
      const scrollers = [element, element.shadowRoot.querySelector('.cm-mergeView')];
      for (const scroller of scrollers) {
        scroller.scrollTop += by;
      }
      for (let frames = 0; frames < 3; frames += 1) {
        await new Promise(requestAnimationFrame);
      }
      return scrollers.reduce((top, scroller) => top + scroller.scrollTop, 0);
    }, by);
  for (let [last, top] = [-1, await scroll(-1e9)]; top !== last; [last, top] = [top, await scroll(300)]) {
    for (const text of await editor.locator('.cm-line').allInnerTexts()) {
      lines.add(text);
    }
  }
  return [...lines].join('\n');
}
