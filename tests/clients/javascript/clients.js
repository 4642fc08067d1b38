// Clients of the three gateways that `tests/clients/run` started: the open one never sleeps, the keyed one wants an
// API key, the paced one takes as long as a board would.
import OpenAI from 'openai';

export const CHAT_MODEL = 'qwen3-1.7b';
export const SMALL_CONTEXT_MODEL = 'phi-3-mini';
export const EMBEDDING_MODEL = 'qwen3-embedding-0.6b';

// No client repeats a request, so that each test sees the gateway's first answer.
const connect = (baseURL, apiKey = 'none') => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });

export const client = connect(process.env.OPEN_GATEWAY);
export const paced = connect(process.env.PACED_GATEWAY);
export const keyed = key => connect(process.env.KEYED_GATEWAY, key);

/** The body of a one-question chat; thinking is off unless asked for. */
export function question(content, { thinking = false, ...options } = {}) {
  return {
    model: CHAT_MODEL,
    messages: [{ role: 'user', content }],
    chat_template_kwargs: { enable_thinking: thinking },
    ...options,
  };
}

export const ask = (content, options) => client.chat.completions.create(question(content, options));

/** All chunks of a stream. */
export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** The visible text of a stream's chunks. */
export const text = chunks => chunks.map(chunk => chunk.choices[0]?.delta.content ?? '').join('');
