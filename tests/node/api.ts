// A client whose types are generated from /openapi.json, with openapi-fetch: compiled, and run against a gateway.
import createClient from "openapi-fetch";
import type { paths } from "./openapi.js";

async function firstEvent(body: ReadableStream<Uint8Array>): Promise<unknown> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended: ${text}`);
    text += decoder.decode(value, { stream: true });
    const found = /^id: .+\ndata: (.+)\n\n/m.exec(text);
    if (found) {
      await reader.cancel();
      return JSON.parse(found[1]!);
    }
  }
}

export async function run(baseUrl: string) {
  const api = createClient<paths, "application/json">({ baseUrl });
  const streams = createClient<paths, "text/event-stream">({ baseUrl });
  const filter = { coins: ["bitcoin"], fields: ["prices" as const] };

  const snapshot = await api.GET("/api/v1/snapshot/{service}", {
    params: { path: { service: "market_data" }, query: filter },
  });
  if (!snapshot.data) throw new Error(snapshot.error?.data.message);
  const newest = snapshot.data.data;
  if (newest.service !== "market_data") throw new Error("another service");
  const price: number | null | undefined = newest.data.prices?.["bitcoin"];

  const history = await api.GET("/api/v1/history/{service}", {
    params: { path: { service: "market_data" }, query: { limit: 2, ...filter } },
  });
  if (!history.data) throw new Error(history.error?.data.message);
  const page = history.data.data;
  if (page.service !== "market_data") throw new Error("another service");
  const recorded: (number | null | undefined)[] = page.records.map((record) => record.data.prices?.["bitcoin"]);
  const next = await api.GET("/api/v1/history/{service}", {
    params: { path: { service: "market_data" }, query: { limit: 2, cursor: page.next_cursor, ...filter } },
  });

  const candles = await api.GET("/api/v1/candles/{coin}", {
    params: { path: { coin: "bitcoin" }, query: { interval: "1m", limit: 3 } },
  });
  if (!candles.data) throw new Error(candles.error?.data.message);
  const highs: number[] = candles.data.data.candles.map((candle) => candle.high);

  const coins = await api.GET("/api/v1/coins");
  const schemas = await api.GET("/api/v1/schemas/{service}", { params: { path: { service: "news" } } });

  const stream = await streams.GET("/api/v1/stream/{service}", {
    params: { path: { service: "market_data" }, query: filter },
    parseAs: "stream",
  });
  if (!stream.data) throw new Error("no stream");

  // @ts-expect-error: no such parameter
  const unknown = await api.GET("/api/v1/coins", { params: { query: { coin: "bitcoin" } } });
  // @ts-expect-error: no such service
  await api.GET("/api/v1/snapshot/{service}", { params: { path: { service: "gold" } } });
  // @ts-expect-error: no such interval
  await api.GET("/api/v1/candles/{coin}", { params: { path: { coin: "bitcoin" }, query: { interval: "1y" } } });

  return {
    price,
    recorded,
    next: next.data?.data.records.length,
    highs,
    coins: coins.data?.data.coins.map((coin) => coin.symbol),
    schema: schemas.data && "properties" in schemas.data,
    event: await firstEvent(stream.data),
    unknown: [unknown.response.status, unknown.error?.data.known_parameters],
  };
}
