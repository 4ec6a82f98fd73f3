// What a client in TypeScript can say with types generated from our documents. It is compiled, not run.
import type { components as messages } from "./asyncapi";
import type { paths } from "./openapi";

type Body<Path extends keyof paths> = paths[Path]["get"] extends {
  responses: { 200: { content: { "application/json": { data: infer Data } } } };
}
  ? Data
  : never;
type Snapshot = Body<"/api/v1/snapshot/{service}">;
type History = Body<"/api/v1/history/{service}">;
type Named = messages["schemas"];

export function price(snapshot: Snapshot): number | null | undefined {
  // @ts-expect-error: of other services `data` has no prices
  snapshot.data.prices;
  if (snapshot.service !== "market_data") return undefined;
  // @ts-expect-error: a field that market_data does not have
  snapshot.data.headlines;
  return snapshot.data.prices?.["bitcoin"]; // a filter may leave the field out
}

export function titles(history: History): string[] {
  if (history.service !== "news") return [];
  return history.records.flatMap((record) => (record.data.articles ?? []).map((article) => article.title));
}

export function heard(message: Named["MarketDataUpdate"] | Named["NewsUpdate"] | Named["ErrorMessage"]): string {
  if (message.type === "error") return message.data.code;
  if (message.service === "news") return message.data.articles[0].title;
  const seq: number | undefined = message.meta?.seq;
  return `${message.data.prices["bitcoin"]} ${seq}`;
}

export const subscribe: Named["SubscribeCommand"] = { action: "subscribe", service: ["news", "all"] };
// @ts-expect-error: no such service
export const wrong: Named["SubscribeCommand"] = { action: "subscribe", service: "gold" };
