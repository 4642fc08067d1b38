import pytest
from openai import OpenAI

from conftest import CHAT_MODEL


def test_answer_is_complete(ask):
    completion = ask()
    (choice,) = completion.choices
    assert completion.object == "chat.completion"
    assert completion.id
    assert completion.created > 1_600_000_000
    assert choice.index == 0
    assert choice.message.role == "assistant"
    assert choice.message.content.strip()
    assert choice.finish_reason == "stop"
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_stream_says_what_the_whole_answer_says(ask):
    whole = ask("Tell me about the sea.")
    chunks = list(ask("Tell me about the sea.", stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert deltas[0].role == "assistant"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) == {None}
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_chunk_ends_the_stream_when_asked_for(ask):
    whole = ask("Tell me about the sea.")
    chunks = list(ask("Tell me about the sea.", stream=True, stream_options={"include_usage": True}))
    *before, last = chunks
    assert last.choices == []
    assert all(chunk.usage is None for chunk in before)
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert last.usage.completion_tokens == whole.usage.completion_tokens


def test_thinking_is_kept_apart(ask):
    message = ask("Why is the sky blue?", thinking=True).choices[0].message
    assert message.reasoning_content.strip()
    assert message.content.strip()
    assert "think>" not in message.content + message.reasoning_content


def test_streamed_thinking_comes_before_the_answer(ask):
    kinds = []
    for chunk in ask("Why is the sky blue?", thinking=True, stream=True):
        delta = chunk.choices[0].delta
        if getattr(delta, "reasoning_content", None):
            kinds.append("reasoning")
        if delta.content:
            kinds.append("content")
            assert "think>" not in delta.content
    assert set(kinds) == {"reasoning", "content"}
    assert kinds == sorted(kinds, reverse=True)


def test_thinking_switched_off_is_absent(ask):
    message = ask("Why is the sky blue?").choices[0].message
    assert not getattr(message, "reasoning_content", None)


def test_reasoning_tokens_are_part_of_the_usage(ask):
    usage = ask("Why is the sky blue?", thinking=True).usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_token_limit_ends_the_answer(ask, name: str):
    completion = ask("Tell me about the sea.", **{name: 5})
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 5


def test_token_limit_ends_a_stream(ask):
    chunks = list(ask("Tell me about the sea.", max_tokens=5, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("as_list", [False, True])
def test_stop_string_ends_the_answer_and_is_left_out(ask, as_list: bool):
    text = ask("Tell me about the sea.").choices[0].message.content
    # Two words with the space between them, so that the stop string spans tokens.
    middle = text.index(" ", len(text) // 2)
    stop = text[middle - 3 : middle + 4]
    cut = ask("Tell me about the sea.", stop=[stop, "\0never"] if as_list else stop)
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].message.content == text[: text.index(stop)]


def test_stop_string_never_shows_in_a_stream(ask):
    text = ask("Tell me about the sea.").choices[0].message.content
    middle = text.index(" ", len(text) // 2)
    stop = text[middle - 3 : middle + 4]
    chunks = list(ask("Tell me about the sea.", stop=stop, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text[: text.index(stop)]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_text_parts_are_read_as_text(client: OpenAI):
    def prompt_tokens(content) -> int:
        completion = client.chat.completions.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": content}], max_tokens=1
        )
        return completion.usage.prompt_tokens

    assert prompt_tokens([{"type": "text", "text": "Say hello."}]) == prompt_tokens("Say hello.")


def test_system_message_and_history_are_read(client: OpenAI):
    # A chat without a system message gets a default one, so that leaving it out says nothing.
    short, long = ({"role": "system", "content": f"You are a pirate{who}."} for who in ("", " from the coast of Brittany"))
    first = {"role": "user", "content": "Name a colour."}
    more = [{"role": "assistant", "content": "Blue."}, {"role": "user", "content": "Another one."}]
    tokens = []
    for messages in ([short, first], [long, first], [long, first, *more]):
        completion = client.chat.completions.create(model=CHAT_MODEL, messages=messages, max_tokens=1)
        tokens.append(completion.usage.prompt_tokens)
    assert tokens == sorted(set(tokens))


def test_every_answer_names_its_request(client: OpenAI):
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=1
    )
    assert raw.headers["x-request-id"]
    assert raw.headers["x-rkgate-model"] == CHAT_MODEL
