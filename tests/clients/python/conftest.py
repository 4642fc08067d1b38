"""Clients of the three gateways that `tests/clients/run` started.

The open one never sleeps, the keyed one wants an API key, the paced one takes as long as a board would.
"""

import os
from collections.abc import Iterator

import pytest
from openai import OpenAI

CHAT_MODEL = "qwen3-1.7b"
SMALL_CONTEXT_MODEL = "phi-3-mini"
EMBEDDING_MODEL = "qwen3-embedding-0.6b"
ANSWER_SECONDS = 30


def connect(base_url: str, key: str = "none", **options) -> OpenAI:
    """A client that never repeats a request, so that each test sees the gateway's first answer."""
    return OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=ANSWER_SECONDS, **options)


@pytest.fixture(scope="session")
def base_url() -> str:
    return os.environ["OPEN_GATEWAY"]


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    with connect(base_url) as client:
        yield client


@pytest.fixture
def paced() -> Iterator[OpenAI]:
    with connect(os.environ["PACED_GATEWAY"]) as client:
        yield client


@pytest.fixture
def ask(client: OpenAI):
    """Asks one question without thinking and returns the completion."""

    def ask(content: str = "Say hello.", *, model: str = CHAT_MODEL, thinking: bool = False, **options):
        return client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": content}],
            extra_body={"chat_template_kwargs": {"enable_thinking": thinking}},
            **options,
        )

    return ask
