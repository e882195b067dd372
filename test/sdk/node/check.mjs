// The official OpenAI client for Node against Weir: node check.mjs BASE_URL, with a
// key in OPENAI_API_KEY.
//
// Every check is an assertion; what it prints tells how far it came.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI, { toFile } from "openai";

const baseURL = process.argv[2];
const client = new OpenAI({ baseURL, maxRetries: 0, timeout: 60_000 });
const question = [{ role: "user", content: "What is a stage?" }];
const tool = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  },
};

async function chat() {
  const done = await client.chat.completions.create({ model: "small", messages: question, temperature: 0, weir: { timeout_ms: 30_000 } });
  assert.equal(done.object, "chat.completion");
  assert.equal(done.model, "small");
  assert.equal(done.choices[0].finish_reason, "stop");
  assert.ok(done.choices[0].message.content);
  assert.equal(done.usage.total_tokens, done.usage.prompt_tokens + done.usage.completion_tokens);
  assert.ok(done.weir.receipt.cost_nano_usd > 0);
  const { response } = await client.chat.completions.create({ model: "weir/auto", messages: question }).withResponse();
  assert.ok(response.headers.get("weir-job"));
}

async function stream() {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({
    model: "small", messages: question, stream: true, stream_options: { include_usage: true },
  })) {
    chunks.push(chunk);
  }
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.ok(chunks.map((c) => c.choices[0]?.delta.content ?? "").join("").length > 10);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  const runner = client.chat.completions.stream({ model: "small", messages: question });
  assert.ok(await runner.finalContent());
}

async function tools() {
  const messages = [{ role: "user", content: "How is the weather in Oslo?" }];
  const asked = await client.chat.completions.create({ model: "small", messages, tools: [tool], tool_choice: "required" });
  const call = asked.choices[0].message.tool_calls[0];
  assert.equal(asked.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "weather");
  JSON.parse(call.function.arguments);
  messages.push(asked.choices[0].message, { role: "tool", tool_call_id: call.id, content: "12 degrees" });
  const done = await client.chat.completions.create({ model: "small", messages, tools: [tool], tool_choice: "none" });
  assert.ok(done.choices[0].message.content);
}

async function structured() {
  const schema = {
    type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"], additionalProperties: false,
  };
  const done = await client.chat.completions.create({
    model: "small", messages: question, response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
  });
  const value = JSON.parse(done.choices[0].message.content);
  assert.equal(typeof value.name, "string");
  assert.ok(Number.isInteger(value.age));
}

async function embeddings() {
  const one = await client.embeddings.create({ model: "embed", input: "hello" }); // in base64, by default
  const plain = await client.embeddings.create({ model: "embed", input: ["hello", "world"], encoding_format: "float" });
  assert.ok(one.data[0].embedding.length > 10 && one.usage.prompt_tokens > 0);
  assert.equal(plain.data.length, 2);
  plain.data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - one.data[0].embedding[i]) < 1e-6));
}

async function models() {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  for (const id of ["small", "embed", "weir/auto"]) assert.ok(ids.includes(id), id);
  assert.equal((await client.models.retrieve("small")).id, "small");
}

async function ended(id) {
  for (let i = 0; i < 600; i++) {
    const run = await client.batches.retrieve(id);
    if (["completed", "failed", "expired", "cancelled"].includes(run.status)) return run;
    await pause(100);
  }
  throw new Error(`batch ${id} does not end`);
}

async function batch() {
  const lines = Array.from({ length: 20 }, (_, i) => ({
    custom_id: `c${i}`, method: "POST", url: "/v1/chat/completions", body: { model: i === 3 ? "none" : "small", messages: question },
  }));
  const data = lines.map((l) => JSON.stringify(l)).join("\n");
  const uploaded = await client.files.create({ file: await toFile(Buffer.from(data), "in.jsonl"), purpose: "batch" });
  assert.equal(uploaded.bytes, data.length);
  assert.equal(await (await client.files.content(uploaded.id)).text(), data);
  let run = await client.batches.create({ input_file_id: uploaded.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  run = await ended(run.id);
  assert.equal(run.status, "completed");
  assert.deepEqual(run.request_counts, { total: 20, completed: 19, failed: 1 });
  const rows = (await (await client.files.content(run.output_file_id)).text()).trim().split("\n").map((l) => JSON.parse(l));
  assert.deepEqual(rows.map((r) => r.custom_id), lines.map((l) => l.custom_id).filter((id) => id !== "c3"));
  const bad = JSON.parse(await (await client.files.content(run.error_file_id)).text());
  assert.equal(bad.custom_id, "c3");
  assert.ok((await client.files.delete(uploaded.id)).deleted);
  await assert.rejects(client.batches.cancel(run.id), OpenAI.ConflictError);
}

async function errors() {
  await assert.rejects(client.chat.completions.create({ model: "none", messages: question }),
    (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found" && e.param === "model");
  await assert.rejects(client.chat.completions.create({ model: "small", messages: question, n: 2 }),
    (e) => e instanceof OpenAI.BadRequestError && e.param === "n" && e.type === "invalid_request_error");
  await assert.rejects(client.embeddings.create({ model: "embed", input: "x", dimensions: 3 }), OpenAI.BadRequestError);
  await assert.rejects(client.files.retrieve("file-none"), OpenAI.NotFoundError);
  await assert.rejects(client.batches.retrieve("batch_none"), OpenAI.NotFoundError);
}

async function unauthorized() {
  const other = new OpenAI({ baseURL, apiKey: "weir-wrong", maxRetries: 0 });
  await assert.rejects(other.models.list(), (e) => e instanceof OpenAI.AuthenticationError && e.code === "invalid_api_key");
}

for (const check of [chat, stream, tools, structured, embeddings, models, batch, errors, unauthorized]) {
  await check();
  console.log("ok", check.name);
}
