import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT_MODEL, ask, client, collect, paced, question, text } from './clients.js';

const SEA = 'Tell me about the sea.';

test('an answer is complete', async () => {
  const completion = await ask('Say hello.');
  const [choice] = completion.choices;
  assert.equal(completion.object, 'chat.completion');
  assert.equal(choice.message.role, 'assistant');
  assert.ok(choice.message.content.trim());
  assert.equal(choice.finish_reason, 'stop');
  const { prompt_tokens, completion_tokens, total_tokens } = completion.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test('a stream says what the whole answer says', async () => {
  const whole = await ask(SEA);
  const chunks = await collect(await ask(SEA, { stream: true }));
  assert.equal(text(chunks), whole.choices[0].message.content);
  assert.equal(new Set(chunks.map(chunk => chunk.id)).size, 1);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
});

test('the stream helper assembles the answer', async () => {
  const whole = await ask(SEA);
  const stream = client.chat.completions.stream(question(SEA, { stream: true }));
  let shown = '';
  stream.on('content', delta => { shown += delta; });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
  assert.equal(shown, whole.choices[0].message.content);
});

test('a usage chunk ends the stream when asked for', async () => {
  const whole = await ask(SEA);
  const chunks = await collect(await ask(SEA, { stream: true, stream_options: { include_usage: true } }));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(chunks.every(chunk => !chunk.usage));
  assert.equal(last.usage.prompt_tokens, whole.usage.prompt_tokens);
  assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);
});

test('thinking is kept apart', async () => {
  const { message } = (await ask('Why is the sky blue?', { thinking: true })).choices[0];
  assert.ok(message.reasoning_content.trim());
  assert.ok(message.content.trim());
  assert.doesNotMatch(message.content, /think>/);

  const chunks = await collect(await ask('Why is the sky blue?', { thinking: true, stream: true }));
  const reasoning = chunks.map(chunk => chunk.choices[0].delta.reasoning_content ?? '').join('');
  assert.equal(reasoning, message.reasoning_content);
  assert.equal(text(chunks), message.content);
});

test('a token limit ends the answer', async () => {
  const completion = await ask(SEA, { max_tokens: 5 });
  assert.equal(completion.choices[0].finish_reason, 'length');
  assert.equal(completion.usage.completion_tokens, 5);
});

test('a stop string ends the answer and is left out', async () => {
  const whole = (await ask(SEA)).choices[0].message.content;
  // Two words with the space between them, so that the stop string spans tokens.
  const middle = whole.indexOf(' ', whole.length / 2);
  const stop = whole.slice(middle - 3, middle + 4);
  const expected = whole.slice(0, whole.indexOf(stop));
  const cut = await ask(SEA, { stop });
  assert.equal(cut.choices[0].message.content, expected);
  assert.equal(cut.choices[0].finish_reason, 'stop');
  assert.equal(text(await collect(await ask(SEA, { stop: [stop], stream: true }))), expected);
});

test('legacy completions continue a text, streamed or not', async () => {
  const body = { model: CHAT_MODEL, prompt: 'The sea is', max_tokens: 20 };
  const whole = await client.completions.create(body);
  assert.ok(whole.choices[0].text);
  const chunks = await collect(await client.completions.create({ ...body, stream: true }));
  assert.equal(chunks.map(chunk => chunk.choices[0].text).join(''), whole.choices[0].text);
});

test('a stream comes token by token', async () => {
  const chunks = await collect(await paced.chat.completions.create(question(SEA, { stream: true, max_tokens: 20 })));
  // A token may be a part of a character that the next one completes.
  assert.ok(chunks.filter(chunk => chunk.choices[0].delta.content).length >= 15);
});

test('an abandoned stream frees the board', async () => {
  const long = question('Count from 1 to 400, one number per line, nothing else.', { stream: true });
  const stream = await paced.chat.completions.create(long);
  let seen = 0;
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].finish_reason, null);
    if (++seen === 5) break;
  }
  assert.ok(stream.controller.signal.aborted);
  // Had the run gone on, this answer would have to wait for the rest of it.
  const left = performance.now();
  await paced.chat.completions.create(question('Say hello.', { max_tokens: 1 }));
  assert.ok(performance.now() - left < 4000);
});

test('twenty at once are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, async (_, number) =>
    collect(await ask(`Question ${number}: say hello.`, { stream: true, max_tokens: 40 }))));
  for (const chunks of answers) {
    assert.ok(text(chunks).trim());
    assert.match(chunks.at(-1).choices[0].finish_reason, /^(stop|length)$/);
  }
});
