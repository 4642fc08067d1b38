import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, collect, ask, question } from './clients.js';

const QUESTION = 'Use the get_weather tool: what is the weather in Paris?';
const WEATHER = {
  name: 'get_weather',
  description: 'Current weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const tools = [{ type: 'function', function: WEATHER }];

function checkCall(call) {
  assert.ok(call.id);
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'get_weather');
  assert.equal(typeof JSON.parse(call.function.arguments), 'object');
}

test('the model calls the tool', async () => {
  const [choice] = (await ask(QUESTION, { tools })).choices;
  assert.equal(choice.finish_reason, 'tool_calls');
  assert.equal(choice.message.tool_calls.length, 1);
  checkCall(choice.message.tool_calls[0]);
});

test('a streamed call is assembled by the client', async () => {
  const [choice] = (await client.chat.completions.stream(question(QUESTION, { tools })).finalChatCompletion()).choices;
  assert.equal(choice.finish_reason, 'tool_calls');
  assert.equal(choice.message.tool_calls.length, 1);
  checkCall(choice.message.tool_calls[0]);
});

test('streamed deltas carry one id per call', async () => {
  const deltas = (await collect(await ask(QUESTION, { tools, stream: true })))
    .flatMap(chunk => chunk.choices[0].delta.tool_calls ?? []);
  assert.deepEqual([...new Set(deltas.map(delta => delta.index))], [0]);
  assert.equal(new Set(deltas.map(delta => delta.id).filter(Boolean)).size, 1);
});

test('the client runs the tool and gets an answer in words', async () => {
  const cities = [];
  const runner = client.chat.completions.runTools(question(QUESTION, {
    stream: true,
    tools: [{
      type: 'function',
      function: {
        ...WEATHER,
        parse: JSON.parse,
        function: ({ city }) => { cities.push(city); return '{"sky": "clear", "degrees": 21}'; },
      },
    }],
  }));
  const content = await runner.finalContent();
  assert.equal(cities.length, 1);
  assert.ok(content.trim());
});
