// OpenAI's own package, unmodified, against an AITBC network: only base URL and key differ from what
// its users write. Prints what it got as one JSON object; an exception ends it with exit code 1.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });
const question = process.argv[2];
const messages = [{ role: "user", content: question }];
const out = {};

const { data: chat, response } = await client.chat.completions
  .create({ model: "tiny", messages, temperature: 0 })
  .withResponse();
out.chat = { content: chat.choices[0].message.content, finish: chat.choices[0].finish_reason, usage: chat.usage };
out.job = response.headers.get("aitbc-job-id");
out.cost = response.headers.get("aitbc-cost");

const stream = await client.chat.completions.create({
  model: "tiny", messages, temperature: 0, stream: true, stream_options: { include_usage: true },
});
out.streamed = "";
for await (const chunk of stream) {
  out.streamed += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.usage) out.streamedUsage = chunk.usage;
  if (chunk.aitbc) out.provenance = chunk.aitbc;
}

// The package's own accumulator holds the order of chunks against its own types.
const runner = client.chat.completions.stream({ model: "tiny", messages, temperature: 0 });
out.accumulated = await runner.finalContent();

const completion = await client.completions.create({ model: "tiny", prompt: question, temperature: 0, max_tokens: 8 });
out.completion = { text: completion.choices[0].text, finish: completion.choices[0].finish_reason };

const json = await client.chat.completions.create({
  model: "tiny", messages, temperature: 0, max_tokens: 40, response_format: { type: "json_object" },
  tools: [{ type: "function", function: { name: "weather", description: "Weather of a city.", parameters: { type: "object", properties: { city: { type: "string" } } } } }],
  tool_choice: "none",
});
out.json = { content: json.choices[0].message.content, finish: json.choices[0].finish_reason };

const embeddings = await client.embeddings.create({ model: "tiny", input: [question, "A cat."] });
out.embeddings = embeddings.data.map((d) => d.embedding.length);

out.models = [];
for await (const model of client.models.list()) out.models.push(model.id);
out.model = (await client.models.retrieve("tiny")).id;

const refusals = {
  key: () => new OpenAI({ baseURL: client.baseURL, apiKey: "wrong" }).models.list(),
  model: () => client.chat.completions.create({ model: "no-such-model", messages }),
  n: () => client.chat.completions.create({ model: "tiny", messages, n: 2 }),
  funds: () => client.chat.completions.create({ model: "tiny", messages, max_price: "999999aitbc" }),
};
out.refusals = {};
for (const [name, call] of Object.entries(refusals)) {
  try {
    await call();
    throw new Error(`${name} was not refused`);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, type, param } = error;
    out.refusals[name] = { class: error.constructor.name, status, code, type, param, reason: error.error?.reason };
  }
}

console.log(JSON.stringify(out));
