"""Time: tokens as they come, clients that go away, and many at once."""

import asyncio
import time

from openai import AsyncOpenAI, OpenAI

from conftest import ANSWER_SECONDS, CHAT_MODEL

LONG = [{"role": "user", "content": "Count from 1 to 400, one number per line, nothing else."}]


def test_stream_comes_token_by_token(paced: OpenAI):
    stream = paced.chat.completions.create(model=CHAT_MODEL, messages=LONG, stream=True, max_tokens=20)
    came = [
        time.monotonic()
        for chunk in stream
        if chunk.choices[0].delta.content or getattr(chunk.choices[0].delta, "reasoning_content", None)
    ]
    # A token may be a part of a character that the next one completes.
    assert len(came) >= 15
    assert came[-1] - came[0] > 0.5


def test_abandoned_stream_frees_the_board(paced: OpenAI):
    stream = paced.chat.completions.create(model=CHAT_MODEL, messages=LONG, stream=True)
    for _, chunk in zip(range(5), stream):
        assert chunk.choices[0].finish_reason is None
    stream.close()

    # Had the run gone on, this answer would have to wait for the rest of it.
    left = time.monotonic()
    paced.chat.completions.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=1
    )
    assert time.monotonic() - left < 4


def test_twenty_at_once(base_url: str):
    async def ask(client: AsyncOpenAI, number: int) -> str:
        stream = await client.chat.completions.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": f"Question {number}: say hello."}],
            stream=True,
            max_tokens=40,
        )
        reason = None
        async for chunk in stream:
            reason = chunk.choices[0].finish_reason
        return reason

    async def ask_all() -> list[str]:
        async with AsyncOpenAI(
            base_url=base_url, api_key="none", max_retries=0, timeout=2 * ANSWER_SECONDS
        ) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(20)))

    reasons = asyncio.run(ask_all())
    assert len(reasons) == 20
    assert set(reasons) <= {"stop", "length"}
