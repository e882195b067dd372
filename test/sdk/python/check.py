"""The official OpenAI client for Python against Weir: python check.py BASE_URL, with a
key in OPENAI_API_KEY.

Every check is an assertion; what it prints tells how far it came.
"""

import io
import json
import sys
import time

import openai
from openai import OpenAI
from pydantic import BaseModel

client = OpenAI(base_url=sys.argv[1], max_retries=0, timeout=60)
question = [{"role": "user", "content": "What is a stage?"}]


def chat():
    done = client.chat.completions.create(model="small", messages=question, temperature=0)
    assert done.object == "chat.completion" and done.id.startswith("chatcmpl-"), done
    assert done.model == "small" and done.choices[0].message.role == "assistant", done
    assert done.choices[0].message.content and done.choices[0].finish_reason == "stop", done
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0, done
    assert done.model_extra["weir"]["receipt"]["cost_nano_usd"] > 0, done
    raw = client.chat.completions.with_raw_response.create(model="weir/auto", messages=question)
    assert raw.headers["weir-job"] and raw.parse().choices[0].message.content


def options():
    done = client.chat.completions.create(
        model="small", messages=question, metadata={"a": "b"},
        extra_body={"weir": {"lane": "batch", "timeout_ms": 30000, "metadata": {"c": "d"}}})
    assert done.model_extra["weir"]["metadata"] == {"a": "b", "c": "d"}, done


def stream():
    chunks = list(client.chat.completions.create(
        model="small", messages=question, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert len(text) > 10 and len(chunks) > 3, chunks
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop", chunks
    assert chunks[-1].usage.completion_tokens > 0 and not chunks[-1].choices, chunks[-1]
    assert len({c.id for c in chunks}) == 1, chunks
    with client.chat.completions.stream(model="small", messages=question) as events:
        assert events.get_final_completion().choices[0].message.content


def tools():
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather of a city.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}}
    messages = [{"role": "user", "content": "How is the weather in Oslo?"}]
    asked = client.chat.completions.create(model="small", messages=messages, tools=[tool], tool_choice="required")
    call = asked.choices[0].message.tool_calls[0]
    assert asked.choices[0].finish_reason == "tool_calls" and call.function.name == "weather" and call.id, asked
    json.loads(call.function.arguments)
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}]
    done = client.chat.completions.create(model="small", messages=messages, tools=[tool], tool_choice="none")
    assert done.choices[0].message.content and not done.choices[0].message.tool_calls, done
    deltas = [c.choices[0].delta for c in client.chat.completions.create(
        model="small", messages=messages[:1], tools=[tool], tool_choice="required", stream=True) if c.choices]
    calls = [d.tool_calls[0] for d in deltas if d.tool_calls]
    assert calls and calls[0].function.name == "weather", deltas
    json.loads("".join(c.function.arguments or "" for c in calls))


class Person(BaseModel):
    name: str
    age: int


def structured():
    schema = {"name": "person", "strict": True, "schema": {
        "type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"], "additionalProperties": False}}
    done = client.chat.completions.create(model="small", messages=question, response_format={"type": "json_schema", "json_schema": schema})
    value = json.loads(done.choices[0].message.content)
    assert isinstance(value["name"], str) and isinstance(value["age"], int), value
    parsed = client.chat.completions.parse(model="small", messages=question, response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person), parsed
    done = client.chat.completions.create(model="small", messages=question, response_format={"type": "json_object"})
    assert isinstance(json.loads(done.choices[0].message.content), dict), done


def embeddings():
    one = client.embeddings.create(model="embed", input="hello")  # in base64, by default
    assert one.object == "list" and one.data[0].object == "embedding" and one.usage.prompt_tokens > 0, one
    plain = client.embeddings.create(model="embed", input=["hello", "world"], encoding_format="float")
    assert [d.index for d in plain.data] == [0, 1]
    assert len(plain.data[0].embedding) == len(one.data[0].embedding) > 10
    assert all(abs(a - b) < 1e-6 for a, b in zip(plain.data[0].embedding, one.data[0].embedding))
    tokens = client.embeddings.create(model="embed", input=[[15339]], encoding_format="float")  # hello, in cl100k_base
    assert tokens.data[0].embedding == plain.data[0].embedding


def models():
    ids = [m.id for m in client.models.list()]
    assert {"small", "embed", "weir/auto"} <= set(ids), ids
    assert client.models.retrieve("small").id == "small"


def batch():
    lines = [{"custom_id": f"c{i}", "method": "POST", "url": "/v1/chat/completions",
              "body": {"model": "small" if i != 3 else "none", "messages": question}} for i in range(20)]
    data = "\n".join(json.dumps(l) for l in lines).encode()
    uploaded = client.files.create(file=("in.jsonl", io.BytesIO(data)), purpose="batch")
    assert uploaded.bytes == len(data) and uploaded.purpose == "batch" and uploaded.filename == "in.jsonl", uploaded
    assert client.files.retrieve(uploaded.id) == uploaded
    assert uploaded.id in [f.id for f in client.files.list(purpose="batch")]
    assert client.files.content(uploaded.id).content == data
    run = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"k": "v"})
    assert run.object == "batch" and run.metadata == {"k": "v"}, run
    for _ in range(600):
        run = client.batches.retrieve(run.id)
        if run.status in ("completed", "failed", "expired", "cancelled"):
            break
        time.sleep(0.1)
    assert run.status == "completed" and run.completed_at and run.errors is None, run
    assert (run.request_counts.total, run.request_counts.completed, run.request_counts.failed) == (20, 19, 1), run
    rows = [json.loads(l) for l in client.files.content(run.output_file_id).text.splitlines()]
    assert [r["custom_id"] for r in rows] == [l["custom_id"] for i, l in enumerate(lines) if i != 3], rows
    assert all(r["response"]["status_code"] == 200 and r["response"]["body"]["choices"][0]["message"]["content"] for r in rows), rows
    bad = [json.loads(l) for l in client.files.content(run.error_file_id).text.splitlines()]
    assert len(bad) == 1 and bad[0]["custom_id"] == "c3" and bad[0]["response"]["body"]["error"]["code"] == "model_not_found", bad
    assert next(iter(client.batches.list(limit=1))).id == run.id
    assert client.files.delete(uploaded.id).deleted
    broken = client.files.create(file=("in.jsonl", b"oops\n"), purpose="batch")
    run = client.batches.create(input_file_id=broken.id, endpoint="/v1/chat/completions", completion_window="24h")
    while run.status not in ("failed", "completed"):
        time.sleep(0.1)
        run = client.batches.retrieve(run.id)
    assert run.status == "failed" and run.errors.data[0].line == 1 and run.errors.data[0].code == "invalid_json_line", run


def errors():
    for want, call in [
        (openai.NotFoundError, lambda: client.chat.completions.create(model="none", messages=question)),
        (openai.NotFoundError, lambda: client.models.retrieve("none")),
        (openai.NotFoundError, lambda: client.files.retrieve("file-none")),
        (openai.NotFoundError, lambda: client.batches.retrieve("batch_none")),
        (openai.NotFoundError, lambda: client.embeddings.create(model="small", input="x")),
        (openai.BadRequestError, lambda: client.chat.completions.create(model="small", messages=question, n=2)),
        (openai.BadRequestError, lambda: client.chat.completions.create(model="small", messages=[])),
        (openai.BadRequestError, lambda: client.chat.completions.create(model="small", messages=question, temperature=9)),
        (openai.BadRequestError, lambda: client.embeddings.create(model="embed", input="x", dimensions=3)),
        (openai.BadRequestError, lambda: client.batches.create(input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h")),
    ]:
        try:
            call()
        except want as e:
            assert e.body["message"] and e.type == "invalid_request_error", e.body
        else:
            raise AssertionError(f"want a {want.__name__}")
    try:
        client.chat.completions.create(model="none", messages=question)
    except openai.NotFoundError as e:
        assert e.code == "model_not_found" and e.param == "model", e.body


def unauthorized():
    try:
        OpenAI(base_url=sys.argv[1], api_key="weir-wrong", max_retries=0).models.list()
    except openai.AuthenticationError as e:
        assert e.status_code == 401 and e.code == "invalid_api_key", e.body
    else:
        raise AssertionError("want an AuthenticationError")


for check in (chat, options, stream, tools, structured, embeddings, models, batch, errors, unauthorized):
    check()
    print("ok", check.__name__, flush=True)
