/** Chooses the backend: the desktop shell where there is one, else the in-memory fake of development and demos. */
import type { Backend } from "./backend";

export { BackendError, errorOf } from "./backend";
export type { Backend, StopListening } from "./backend";
export type * from "./types";

export async function chooseBackend(): Promise<Backend> {
  if ("__TAURI_INTERNALS__" in window) return (await import("./tauri")).tauriBackend;
  // Left out of the product: a window without its shell has nothing to show.
  if (import.meta.env.DEV || import.meta.env.MODE === "demo") {
    const { FakeBackend, scenarioFrom } = await import("./fake");
    return new FakeBackend(scenarioFrom(new URLSearchParams(window.location.search)));
  }
  throw new Error("This page belongs to the Waxwing desktop app and cannot run in a browser.");
}
