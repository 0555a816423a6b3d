import { createContext } from "svelte";
import type { AppModel } from "./app.svelte";

/** The window's one `AppModel`, for every component below the root. */
export const [useApp, provideApp] = createContext<AppModel>();
