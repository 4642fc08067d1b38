"""The legacy text completions."""

from openai import OpenAI

from conftest import CHAT_MODEL


def test_text_is_continued(client: OpenAI):
    completion = client.completions.create(model=CHAT_MODEL, prompt="The sea is", max_tokens=20)
    assert completion.object == "text_completion"
    assert completion.choices[0].text
    assert completion.choices[0].finish_reason in ("stop", "length")
    assert completion.usage.completion_tokens <= 20


def test_stream_says_what_the_whole_text_says(client: OpenAI):
    whole = client.completions.create(model=CHAT_MODEL, prompt="The sea is", max_tokens=20)
    chunks = list(client.completions.create(model=CHAT_MODEL, prompt="The sea is", max_tokens=20, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
