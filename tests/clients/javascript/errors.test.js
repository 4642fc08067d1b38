import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { SMALL_CONTEXT_MODEL, ask, keyed, question } from './clients.js';

/** Expects a rejection with this class, code and words in the message. */
const rejects = (promise, type, code, words) => assert.rejects(promise, error => {
  assert.ok(error instanceof type, String(error));
  if (code) assert.equal(error.code, code);
  if (words) assert.match(error.message, words);
  return true;
});

for (const stream of [false, true]) {
  const how = stream ? 'streamed' : 'whole';

  test(`an unknown model is refused (${how})`, () =>
    rejects(ask('Hello', { model: 'no-such-model', stream }), OpenAI.NotFoundError, 'model_not_found', /no-such-model/));

  test(`a prompt above the context is refused (${how})`, () =>
    rejects(ask('one two three four '.repeat(4000), { model: SMALL_CONTEXT_MODEL, stream }),
      OpenAI.BadRequestError, 'context_length_exceeded', /4096/));
}

test('wrong JSON types are refused', async () => {
  for (const [field, value] of Object.entries({ messages: 'hello', temperature: 'warm', max_tokens: 'many', tools: 7 })) {
    await rejects(ask('Hello', { [field]: value }), OpenAI.BadRequestError, undefined, new RegExp(field));
  }
});

test('a wrong key is refused, the right one is not', async () => {
  const body = question('Hello', { max_tokens: 1 });
  await rejects(keyed('wrong').chat.completions.create(body), OpenAI.AuthenticationError, 'invalid_api_key');
  const completion = await keyed(process.env.GATEWAY_KEY).chat.completions.create(body);
  assert.equal(completion.choices.length, 1);
});
