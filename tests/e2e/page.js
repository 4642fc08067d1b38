// Open WebUI's pages as a person uses them. What is found by id or label is so in Open WebUI 0.12.4.
import { chromium } from 'playwright-core';

const PERSON = { name: 'Test Person', email: 'person@example.test', password: 'a password for this run' };
const ANSWER_MS = 60_000;

/** Starts the browser with an empty profile. */
export async function openBrowser() {
  const context = await chromium.launchPersistentContext(process.env.BROWSER_PROFILE, {
    executablePath: process.env.CHROMIUM,
    viewport: { width: 1280, height: 900 },
    // Without the sandbox it also runs in a container and as root. It opens pages on loopback only.
    args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const page = context.pages()[0];
  page.setDefaultTimeout(20_000);
  return { context, page };
}

/** Creates the first account, which is the administrator's. */
export async function signUp(page, url) {
  await page.goto(`${url}/auth`);
  const form = page.locator('input[type="email"]');
  const welcome = page.getByRole('button', { name: /get started/i });
  await form.or(welcome).first().waitFor();
  if (await welcome.isVisible()) await welcome.click();
  await page.locator('input[autocomplete="name"]').fill(PERSON.name);
  await form.fill(PERSON.email);
  await page.locator('input[type="password"]').first().fill(PERSON.password);
  await page.locator('button[type="submit"]').click();
  await page.locator('#chat-input').waitFor({ timeout: 60_000 });
  // The news of the version may cover the page at any time from here on.
  const news = page.getByRole('button', { name: /okay, let.s go/i });
  await page.addLocatorHandler(news, () => news.click());
}

/** Opens an empty chat with a model. */
export async function openChat(page, url, model) {
  await page.goto(`${url}/?models=${encodeURIComponent(model)}`);
  await page.getByRole('button', { name: /^Selected model: / }).waitFor();
}

/** Sends a message; does not wait for the answer. */
export async function send(page, text) {
  await page.locator('#chat-input').click();
  await page.keyboard.insertText(text);
  await page.keyboard.press('Enter');
}

/** The last answer on the page. */
export class Answer {
  #message;

  constructor(page) {
    this.#message = page.locator('[id^="message-"]:not(.user-message):not(#message-input-container)').last();
    this.thoughtFor = this.#message.getByRole('button', { name: /^Thought for/ });
  }

  /** The visible text without the line about thinking. */
  async text() {
    const content = this.#message.locator('#response-content-container');
    if (!(await content.count())) return '';
    const shown = await content.innerText();
    return shown.replace(/^(Thought for|Thinking).*$/m, '').trim();
  }

  /** Waits until the answer is complete: its row of buttons appears then. Returns its text. */
  async complete() {
    await this.#message.getByRole('button', { name: 'Read Aloud' }).waitFor({ timeout: ANSWER_MS });
    return this.text();
  }

  /** The lengths that the text had until it was complete, each once. */
  async lengthsWhileGrowing() {
    const finished = this.complete();
    let done = false;
    finished.catch(() => {}).then(() => { done = true; });
    const lengths = new Set();
    while (!done) lengths.add((await this.text()).length);
    await finished;
    return [...lengths];
  }

  /** Waits until more than this many characters are visible. */
  async isLongerThan(length) {
    const deadline = Date.now() + ANSWER_MS;
    while ((await this.text()).length <= length) {
      if (Date.now() > deadline) throw new Error(`no more than ${length} characters within ${ANSWER_MS} ms`);
    }
  }

  async regenerate(page) {
    await this.#message.getByRole('button', { name: 'Regenerate' }).click();
    await page.getByText('Try Again', { exact: true }).click();
  }

  /** Waits for the counter of an answer that has siblings, e.g. `2/2`. */
  async isNumbered(number) {
    await this.#message.getByText(number, { exact: true }).waitFor({ timeout: ANSWER_MS });
  }

  /** Opens the thinking and returns the whole visible text, thinking included. */
  async withThinking() {
    await this.thoughtFor.click();
    return this.#message.locator('#response-content-container').innerText();
  }
}
