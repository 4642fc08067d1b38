import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { CHAT_MODEL, SMALL_CONTEXT_MODEL, client, collect } from './clients.js';

test('the list holds the shipped models, and each can be retrieved', async () => {
  const listed = await collect(client.models.list());
  const ids = listed.map(model => model.id);
  assert.ok(ids.includes(CHAT_MODEL));
  assert.ok(ids.includes(SMALL_CONTEXT_MODEL));
  for (const model of listed) {
    assert.deepEqual(await client.models.retrieve(model.id), model);
  }
});

test('an unknown model is not found', async () => {
  await assert.rejects(client.models.retrieve('no-such-model'), error => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.match(error.message, /no-such-model/);
    return true;
  });
});
