import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { CHAT_MODEL, EMBEDDING_MODEL, ask, client } from './clients.js';

const TEXTS = [
  'The lighthouse on the cape is lit every night.',
  'Is the lighthouse lit at night?',
  'Sourdough bread needs a starter.',
];

const create = (input, options) => client.embeddings.create({ model: EMBEDDING_MODEL, input, ...options });
const embed = async (input, options) => (await create(input, options)).data.map(entry => entry.embedding);
const cosine = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
const near = (a, b) => a.length === b.length && a.every((value, index) => Math.abs(value - b[index]) < 1e-6);

test('an answer is complete', async () => {
  const answer = await create(TEXTS);
  assert.equal(answer.object, 'list');
  assert.equal(answer.model, EMBEDDING_MODEL);
  assert.deepEqual(answer.data.map(entry => entry.index), [0, 1, 2]);
  assert.ok(answer.usage.prompt_tokens > TEXTS.length);
});

test('like texts are near', async () => {
  const [lit, question, bread] = await embed(TEXTS);
  assert.ok(cosine(lit, question) > cosine(lit, bread));
});

test('both encodings say the same', async () => {
  // The client asks for base64 and decodes it, unless it is told otherwise.
  const [[decoded], [plain]] = [await embed(TEXTS[0]), await embed(TEXTS[0], { encoding_format: 'float' })];
  assert.equal(plain.length, 1024);
  assert.ok(near(Array.from(decoded), plain));
});

test('token ids and shorter vectors', async () => {
  const [[one], [same]] = [await embed([300, 301]), await embed([[300, 301], [400]])];
  assert.ok(near(one, same));
  const [short] = await embed(TEXTS[0], { dimensions: 64 });
  assert.equal(short.length, 64);
});

test('six at once, each with its own answer', async () => {
  const texts = Array.from({ length: 6 }, (_, index) => `Chunk number ${index} of a document`);
  const together = await Promise.all(texts.map(async text => (await embed([text]))[0]));
  const batch = await embed(texts);
  assert.ok(together.every((vector, index) => near(vector, batch[index])));
});

test('each kind of model is refused what it is not for', async () => {
  const refused = (promise, words) => assert.rejects(promise, error => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.match(error.message, words);
    return true;
  });
  await refused(create('hello', { model: CHAT_MODEL }), /gives no embeddings/);
  await refused(ask('hello', { model: EMBEDDING_MODEL }), /writes no text/);
});
