/** The page becomes ready by an event and by an answer, in any order. */
import { expect, it } from "vitest";
import { FakeBackend } from "../src/lib/backend/fake";
import type { AppState, EngineEvent } from "../src/lib/backend";
import { AppModel } from "../src/lib/state/app.svelte";
const settled = () => new Promise((done) => setTimeout(done, 20));

async function twice(telling: (ready: AppState, tell: (state: AppState) => void, event: (event: EngineEvent) => void) => void) {
  const backend = new FakeBackend({ phase: "ready" });
  const answer = await backend.appState();
  if (answer.type !== "ready") throw new Error("not ready");
  const early: AppState = { ...answer, connection: { type: "connecting" } };
  let tell: (state: AppState) => void = () => {};
  let event: (event: EngineEvent) => void = () => {};
  backend.onStateChanged = async (listener) => {
    tell = listener;
    return () => {};
  };
  backend.onEvent = async (listener) => {
    event = listener;
    return () => {};
  };
  const list = await backend.conversations();
  backend.conversations = () => new Promise((done) => setTimeout(() => done(list), 5));
  backend.connection = async () => ({ type: "online", notice: null });
  backend.appState = async () => {
    telling(early, tell, event);
    return early;
  };
  const app = new AppModel(backend);
  await app.start();
  await settled();
  await settled();
  return app;
}

it("is told that it is ready by the event and by the answer at once", async () => {
  const app = await twice((ready, tell) => tell(ready));
  expect(app.trouble).toBe(null);
});

it("keeps the connection that an event told while the older answer was on its way", async () => {
  const app = await twice((ready, tell, event) => {
    tell(ready);
    event({ type: "connection", connection: { type: "online", notice: null } });
  });
  expect(app.connection.type).toBe("online");
});

it("keeps the connection although the event that it is ready comes after it", async () => {
  const app = await twice((_, __, event) => event({ type: "connection", connection: { type: "online", notice: null } }));
  expect(app.connection.type).toBe("online");
});
