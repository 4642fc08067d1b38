import json

import pytest
from openai import OpenAI

from conftest import CHAT_MODEL

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        # The client's stream helper assembles strict tools only.
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION = {"role": "user", "content": "Use the get_weather tool: what is the weather in Paris?"}
OPTIONS = {
    "model": CHAT_MODEL,
    "tools": [WEATHER],
    "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
}


def check_call(call) -> None:
    assert call.id
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments), dict)


def test_model_calls_the_tool(client: OpenAI):
    (choice,) = client.chat.completions.create(messages=[QUESTION], **OPTIONS).choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    check_call(call)
    assert "tool_call" not in (choice.message.content or "")


def test_streamed_call_is_assembled_by_the_client(client: OpenAI):
    with client.chat.completions.stream(messages=[QUESTION], **OPTIONS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        (choice,) = stream.get_final_completion().choices
    assert [event.name for event in done] == ["get_weather"]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    check_call(call)


def test_streamed_deltas_carry_one_id_per_call(client: OpenAI):
    ids: dict[int, set[str]] = {}
    for chunk in client.chat.completions.create(messages=[QUESTION], stream=True, **OPTIONS):
        for delta in chunk.choices[0].delta.tool_calls or []:
            ids.setdefault(delta.index, set())
            if delta.id:
                ids[delta.index].add(delta.id)
    assert list(ids) == [0]
    assert len(ids[0]) == 1


def test_answers_to_two_requests_have_different_call_ids(client: OpenAI):
    first, second = (
        client.chat.completions.create(messages=[QUESTION], **OPTIONS).choices[0].message.tool_calls[0].id
        for _ in range(2)
    )
    assert first != second


@pytest.mark.parametrize("stream", [False, True])
def test_tool_result_is_answered_in_words(client: OpenAI, stream: bool):
    asked = client.chat.completions.create(messages=[QUESTION], **OPTIONS).choices[0].message
    result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": '{"sky": "clear", "degrees": 21}'}
    messages = [QUESTION, asked.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(messages=messages, stream=stream, **OPTIONS)
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        reason = chunks[-1].choices[0].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert text.strip()
    assert reason == "stop"


def test_tool_choice_none_forbids_calls(client: OpenAI):
    (choice,) = client.chat.completions.create(messages=[QUESTION], tool_choice="none", **OPTIONS).choices
    assert not choice.message.tool_calls
    assert choice.finish_reason == "stop"
