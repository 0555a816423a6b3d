import { render } from "@testing-library/svelte";
import App from "../src/App.svelte";
import { FakeBackend, type Scenario } from "../src/lib/backend/fake";
import { AppModel } from "../src/lib/state/app.svelte";

/** The whole window over the in-memory backend, which may be made ready before the start. */
export async function play(
  scenario: Partial<Scenario> = {},
  ready: (backend: FakeBackend) => void = () => undefined,
): Promise<{ app: AppModel; backend: FakeBackend }> {
  const backend = new FakeBackend(scenario);
  ready(backend);
  const app = new AppModel(backend);
  render(App, { app });
  await app.start();
  await settled();
  return { app, backend };
}

/** Lets answers of the fake backend and the redrawing after them pass. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((done) => setTimeout(done));
  // Dialogs go with the next frame.
  await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => setTimeout(done));
}

export function all(testid: string): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]`)];
}

export function one(testid: string): HTMLElement {
  const [found, second] = all(testid);
  if (!found || second) throw new Error(`expected one ${testid}, found ${all(testid).length}`);
  return found;
}

/** The list's row of the conversation with this title. */
export function rowOf(title: string): HTMLElement {
  const found = all("conversation").find((row) => row.querySelector(".title")?.textContent === title);
  if (!found) throw new Error(`no conversation ${title}`);
  return found;
}
