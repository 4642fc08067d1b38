import os

import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

from conftest import CHAT_MODEL, SMALL_CONTEXT_MODEL, connect

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model(client: OpenAI, stream: bool):
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=HELLO, stream=stream)
    assert "no-such-model" in caught.value.message
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_above_the_context(client: OpenAI, stream: bool):
    question = [{"role": "user", "content": "one two three four " * 4000}]
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model=SMALL_CONTEXT_MODEL, messages=question, stream=stream)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.type == "invalid_request_error"
    assert "4096" in caught.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", "hello"),
        ("messages", [{"role": "user", "content": 7}]),
        ("messages", [{"role": "stranger", "content": "hello"}]),
        ("temperature", "warm"),
        ("max_tokens", "many"),
        ("stream", "yes"),
        ("tools", {"type": "function"}),
        ("model", 7),
    ],
)
def test_wrong_json_types(client: OpenAI, field: str, value):
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, extra_body={field: value})
    assert caught.value.type == "invalid_request_error"
    assert field in caught.value.message


def test_unknown_path(client: OpenAI):
    with pytest.raises(NotFoundError) as caught:
        client.moderations.create(input="hello")
    assert caught.value.message


def test_wrong_key():
    with connect(os.environ["KEYED_GATEWAY"], "wrong") as client, pytest.raises(AuthenticationError) as caught:
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key"


def test_right_key():
    with connect(os.environ["KEYED_GATEWAY"], os.environ["GATEWAY_KEY"]) as client:
        completion = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, max_tokens=5)
    assert completion.choices
